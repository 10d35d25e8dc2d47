"""A language model of bytes: mixers and gated maps of each token, in turn."""

import torch
from mixers import mixer
from torch import nn
from torch.nn import functional

BYTES = 256


class Block(nn.Module):
    def __init__(self, name, width, heads, sizes):
        super().__init__()
        self.mixer_norm, self.map_norm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.mixer = mixer(name, width, heads, sizes)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(2 * width, width, bias=False)

    def forward(self, x, state=None):
        mixed, state = self.mixer(self.mixer_norm(x), state)
        x = x + mixed
        gate, value = self.up(self.map_norm(x)).chunk(2, -1)
        return x + self.down(functional.silu(gate) * value), state


class Model(nn.Module):
    def __init__(self, name, width, layers, heads, sizes):
        super().__init__()
        self.embedding = nn.Embedding(BYTES, width)
        self.blocks = nn.ModuleList(Block(name, width, heads, sizes) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, BYTES, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, tokens, states=None):
        """Logits [B, T, 256] of the next bytes, and what goes on to the tokens after these."""
        x, after = self.embedding(tokens), []
        for place, block in enumerate(self.blocks):
            x, state = block(x, states[place] if states else None)
            after.append(state)
        return self.head(self.norm(x)), after

    @torch.no_grad()
    def generate(self, prompt, count, temperature=0.8):
        """`count` bytes after those of the prompt, one at a time, each from the state alone."""
        device = self.head.weight.device
        tokens = torch.tensor([list(prompt)], device=device)
        states = [block.mixer.start() for block in self.blocks]
        logits, states = self(tokens, states)
        made = bytearray()
        for _ in range(count):
            chances = functional.softmax(logits[:, -1].float() / temperature, -1)
            token = torch.multinomial(chances, 1)
            made.append(token.item())
            logits, states = self(token, states)
        return bytes(made)
