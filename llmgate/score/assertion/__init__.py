"""What an assert is made of: its definition, value and settings, what a rule is given, the models it may ask.

No assert type lives here, and nothing here knows one.
"""
