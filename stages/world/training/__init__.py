"""The trainings of the embedded world: tokenizer, autoencoder, CLIP, diffusion and tagger, one file each."""
