"""How the robust concept reader is trained: scenes drawn anew all the time, attacked at every step."""
