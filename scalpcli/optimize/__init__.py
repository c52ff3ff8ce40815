"""Searches settings on tapes, and says whether what was found is more than luck."""
