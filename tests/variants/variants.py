"""The library: of each variant its class, what it takes, and its formula in NumPy.

Operands are written as in a spec: k[K]. A sign before the name says what is drawn: -g negative, +z
positive, else normal.
"""

import dataclasses
from collections.abc import Callable

import bidirectional
import delta
import diagonal
import features
import slots

SIZES = {"K": 5, "V": 4, "M": 3, "F": 6}


@dataclasses.dataclass(frozen=True)
class Variant:
    kind: str  # as `lathe check` prints it
    inputs: str
    states: str
    formula: Callable
    params: str = ""
    consts: dict = dataclasses.field(default_factory=dict)
    sizes: dict = dataclasses.field(default_factory=dict)  # other than SIZES
    chunks: bool = True  # whether it has a chunk form
    gate: str = ""  # an input i that states meet as exp(i), without a bound
    gated: str = ""  # those states; they hold their value times exp(-X.log_scale), X the first


QKV = "q[K] k[K] v[V]"
SCAN = "S[K,V]"

VARIANTS = {
    "linear_attention": Variant(
        "no decay, normaliser z, scan", QKV, "S[K,V] +z[K]", diagonal.linear_attention
    ),
    "retnet": Variant("scalar decay, scan", QKV, SCAN, diagonal.retnet, "-gamma"),
    "lightning": Variant("scalar decay, scan", QKV, SCAN, diagonal.lightning, "-gamma"),
    "simple_gla": Variant("scalar decay, scan", f"{QKV} -g", SCAN, diagonal.simple_gla),
    "mamba2": Variant(
        "scalar decay, scan", "C[K] B[K] x[V] dt", SCAN, diagonal.mamba2, "A_log dt_bias D"
    ),
    "mamba2_gated": Variant(
        "scalar decay, scan",
        "C[K] B[K] x[V] z[V] dt",
        SCAN,
        diagonal.mamba2_gated,
        "A_log dt_bias D",
    ),
    "gla": Variant("decay over K, scan", f"{QKV} -g[K]", SCAN, diagonal.gla),
    "hgrn2": Variant("decay over K, scan", "q[K] f[K] i[V]", SCAN, diagonal.hgrn2, "low[K]"),
    "rwkv6": Variant("decay over K, scan", "r[K] k[K] v[V] -w[K]", SCAN, diagonal.rwkv6, "u[K]"),
    "lightnet": Variant(
        "no decay, exponential gate, normaliser z, sequential on the GPU",
        QKV,
        "S[K,V] +z[K]",
        diagonal.lightnet,
        gate="k[K]",
        gated="S z",
    ),
    "based": Variant(
        "no decay, normaliser z, sequential on the GPU",
        QKV,
        "S[F,V] +z[F]",
        features.based,
        sizes={"K": 3, "F": 1 + 3 + 3 * 3},
    ),
    "hedgehog": Variant(
        "no decay, normaliser y, normaliser z, sequential on the GPU",
        QKV,
        "P[F,V] N[F,V] +y[F] +z[F]",
        features.hedgehog,
        "Wq[K,F] bq[F] Wk[K,F] bk[F]",
    ),
    "mlstm": Variant(
        "scalar decay, exponential gate, normaliser n, sequential on the GPU",
        f"{QKV} i f",
        "C[K,V] n[K]",
        diagonal.mlstm,
        gate="i",
        gated="C n",
    ),
    "mlstm_sig": Variant("scalar decay, scan", f"{QKV} i f", "C[K,V]", diagonal.mlstm_sig),
    "delta_net": Variant(
        "no decay, 1 rank-1 term, sequential on the GPU", f"{QKV} b", SCAN, delta.delta_net
    ),
    "gated_delta_net": Variant(
        "scalar decay, 1 rank-1 term, sequential on the GPU",
        f"{QKV} a b",
        SCAN,
        delta.gated_delta_net,
        "A_log dt_bias",
    ),
    "gated_delta_product": Variant(
        "scalar decay, 2 rank-1 terms, sequential on the GPU",
        "q[K] k1[K] k2[K] v1[V] v2[V] a b1 b2",
        SCAN,
        delta.gated_delta_product,
        "A_log dt_bias",
    ),
    "kda": Variant(
        "decay over K, 1 rank-1 term, sequential on the GPU",
        f"{QKV} a[K] b",
        SCAN,
        delta.kda,
        "A_log dt_bias[K]",
    ),
    "rwkv7": Variant(
        "decay over K, 1 rank-1 term, sequential on the GPU",
        "r[K] d[K] k[K] v[V] a[K]",
        SCAN,
        delta.rwkv7,
        "xi[K] alpha[K]",
    ),
    "comba": Variant(
        "scalar decay, 1 rank-1 term, sequential on the GPU",
        f"{QKV} a b",
        SCAN,
        delta.comba,
        "A_log dt_bias feedback D",
    ),
    "longhorn": Variant(
        "S has no normal form, sequential on the GPU",
        "q[K] k[K] x[V] b[V]",
        SCAN,
        slots.longhorn,
        chunks=False,
    ),
    "gsa": Variant(
        "decay over M, sequential on the GPU",
        f"{QKV} -g[M]",
        "A[K,M] B[M,V]",
        slots.gsa,
    ),
    "abc": Variant(
        "no decay, exponential gate, normaliser z, sequential on the GPU",
        f"{QKV} s[M]",
        "A[K,M] B[M,V] +z[M]",
        slots.abc,
        gate="s[M]",
        gated="A B z",
    ),
    "vig": Variant(
        "decay over K, decay over K in reverse, scan",
        f"{QKV} -g[K] -h[K]",
        "S[K,V] R[K,V]",
        bidirectional.vig,
    ),
    "relu_linear": Variant(
        "no decay, no decay in reverse, normaliser z, normaliser z_reverse, scan",
        QKV,
        "S[K,V] S_reverse[K,V] +z[K] +z_reverse[K]",
        bidirectional.relu_linear,
    ),
    "mala": Variant(
        "no decay, no decay in reverse, normaliser z, normaliser z_reverse, sequential on the GPU",
        QKV,
        "S[K,V] S_reverse[K,V] +z[K] +z_reverse[K] u[V] u_reverse[V] +n +n_reverse",
        bidirectional.mala,
    ),
    "cosformer": Variant(
        "no decay, normaliser c, normaliser s, sequential on the GPU",
        QKV,
        "C[K,V] S[K,V] +c[K] s[K]",
        features.cosformer,
        consts={"M": 128.0},
    ),
    "liger": Variant("decay over K, scan", QKV, SCAN, diagonal.liger),
    "gated_output": Variant(
        "decay over K, sequential on the GPU",
        f"{QKV} r[V] -g[K]",
        SCAN,
        diagonal.gated_output,
        "weight[V]",
    ),
}
