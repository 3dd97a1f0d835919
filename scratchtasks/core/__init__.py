"""The nouns, their text form and their hashing; imports nothing but the standard library.

Start with `action.py`: what an Action is and how its key is made.
"""
