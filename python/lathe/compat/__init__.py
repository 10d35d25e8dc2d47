"""Operators under the names and with the arguments of other libraries, computed by Lathe.

    from lathe.compat.fla import chunk_gla                     # as from fla.ops.gla
    from lathe.compat.mamba import mamba_chunk_scan_combined   # as from mamba_ssm

Needs PyTorch. docs/compat.md says what is taken, and what was compared.
"""
