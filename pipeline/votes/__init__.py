"""What many votes come to. Plain arithmetic over the rows of `votes/`: no model, no stage, any source of votes."""
