"""A LoRA of a diffusers pipeline, fine-tuned on the safe pairs of a run's shards; `--lora FILE` draws with it.

python examples/train_lora.py runs/demo runs/lora
"""

import sys
from pathlib import Path

import numpy as np
import torch
import webdataset
from diffusers import DDPMScheduler, StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch.nn.functional import mse_loss

WORLD = Path(__file__).resolve().parents[1] / "assets" / "world"
RANK, BATCH, RATE = 4, 8, 1e-3


def main(run: str, out: str, steps: int | str = 20, model: str = str(WORLD / "t2i")) -> None:
    """Teach it what a safe picture of its prompt is, at random steps of the noise schedule."""
    pipeline = StableDiffusionPipeline.from_pretrained(model, safety_checker=None)
    unet, schedule = pipeline.unet, DDPMScheduler.from_config(pipeline.scheduler.config)
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    weights = [weight for weight in unet.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, RATE)
    torch.manual_seed(0)
    tars = sorted(map(str, Path(run).glob("shards/train/*.tar")))
    rows = webdataset.WebDataset(tars, shardshuffle=False, seed=0).decode("rgb8").select(lambda row: row["cls"] == 0)
    samples = rows.to_tuple("png", "txt").shuffle(256).repeat().batched(BATCH)
    for step, (pictures, prompts) in zip(range(int(steps)), samples, strict=False):
        pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            encoded = pipeline.vae.encode(pixels)
            latents = (
                encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.sample()
            ) * pipeline.vae.config.scaling_factor
            words, _ = pipeline.encode_prompt(list(prompts), "cpu", 1, False)
        noise, times = torch.randn_like(latents), torch.randint(schedule.config.num_train_timesteps, (len(latents),))
        wanted = (
            schedule.get_velocity(latents, noise, times) if schedule.config.prediction_type == "v_prediction" else noise
        )
        loss = mse_loss(unet(schedule.add_noise(latents, noise, times), times, words).sample, wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        print(f"step {step}: loss {loss.item():.4f}")
    StableDiffusionPipeline.save_lora_weights(out, unet_lora_layers=get_peft_model_state_dict(unet))
    print(f"{out}/pytorch_lora_weights.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
