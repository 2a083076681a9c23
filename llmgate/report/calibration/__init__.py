"""The calibration's figures as tables and as a page."""
