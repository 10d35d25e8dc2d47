"""Operators under the names and with the arguments of other libraries, computed by Lathe.

    from lathe.compat.fla import chunk_gla                      # for fla.ops.gla
    from lathe.compat.mamba import mamba_chunk_scan_combined    # for mamba_ssm.ops.triton.ssd_combined

Needs PyTorch. docs/compat.md says what is taken, and what was compared.
"""
