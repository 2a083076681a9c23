"""Assert types that ask a judge: the question, its fences, the reply, panels of judges.

Prompts live beside their type; their digest is part of the judge's identity.
"""
