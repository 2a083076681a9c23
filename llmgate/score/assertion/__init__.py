"""What an assert is made of: its value, settings, the context it is given, the models it may ask.

No assert type lives here, and nothing here knows one.
"""
