"""How the judge of words in `guards` is trained: prompts said anew beside pictures read by the robust reader, words exchanged."""
