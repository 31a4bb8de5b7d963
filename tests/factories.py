"""Networks made with the builder alone, for every test: `INTEGER` (name -> integer graph) and float CNNs.

`INTEGER` shows that the integer op set can express what later lowerings need: softmax, layer norm, attention, tables,
embeddings, transposed convolution, … Every target runs all of them and must give the interpreter's integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from arithmos.approx.tables import entries
from arithmos.ir.build import Builder
from arithmos.ir.graph import Graph, Source
from arithmos.ir.interval import Interval, signed, unsigned
from arithmos.ir.scale import exact_scale
from integer_blocks import layer_norm, number, softmax


def int8_weight(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Integers of -127 .. 127."""
    return rng.integers(-127, 128, shape)


def conv(
    b: Builder, x: str, weight: np.ndarray, bias: np.ndarray | None = None, *, name: str = "", **attrs: object
) -> str:
    """A convolution of the builder's own defaults: stride 1, padding 0, dilation 1, one group."""
    rank = weight.ndim - 2
    defaults = {"stride": (1,) * rank, "padding": ((0, 0),) * rank, "dilation": (1,) * rank, "groups": 1}
    operands = [x, b.constant(f"{name}.weight", weight)]
    if bias is not None:
        operands.append(b.constant(f"{name}.bias", bias))
    return b.add("conv", *operands, name=name, **{**defaults, **attrs})


def integer_softmax() -> Graph:
    """Causal softmax over scores of 16 bits: row i has i + 1 terms."""
    b = Builder("int")
    x = b.input("scores", (-1, 2, 6, 6), signed(12), exact_scale(2.0**-8))
    return b.graph(softmax(b, x, 2.0**-8, np.tril(np.ones((6, 6), dtype=np.int64))))


def plain_softmax() -> Graph:
    """Softmax without a mask, over the last axis of logits."""
    b = Builder("int")
    x = b.input("logits", (-1, 10), signed(16), exact_scale(2.0**-10))
    return b.graph(softmax(b, x, 2.0**-10))


NORM_STEP, NORM_OUT_STEP, NORM_EPS = 2.0**-7, 2.0**-5, 1e-5


def norm_parameters() -> tuple[np.ndarray, np.ndarray]:
    """gamma and beta of `integer_layer_norm`."""
    rng = np.random.default_rng(5)
    return rng.uniform(0.5, 1.5, 16), rng.uniform(-1, 1, 16)


def integer_layer_norm() -> Graph:
    """Layer norm over 16 features of 12 bits."""
    b = Builder("int")
    x = b.input("x", (-1, 3, 16), signed(12), exact_scale(NORM_STEP))
    gamma, beta = norm_parameters()
    return b.graph(layer_norm(b, x, NORM_STEP, gamma, beta, NORM_OUT_STEP, signed(8), NORM_EPS))


GELU_STEP, GELU_OUT_STEP = 2.0**-5, 2.0**-5


def gelu_table() -> Graph:
    """A wide value requantized to 8 bits, then GELU as a table of 256 entries."""
    b = Builder("int")
    x = b.input("x", (-1, 7), signed(14), exact_scale(GELU_STEP / 64))
    narrow = b.add("requantize", x, shift=6, lo=-128, hi=127, scale=exact_scale(GELU_STEP), name="narrow")
    table = entries("gelu", GELU_STEP, signed(8), GELU_OUT_STEP, signed(8), approximate="none")
    return b.graph(b.add("table", narrow, b.constant("gelu.entries", table), offset=-128, axis=None, name="gelu"))


def channel_tables() -> Graph:
    """A table of its own for each channel (parametric activations)."""
    b = Builder("int")
    x = b.input("x", (-1, 3, 4, 4), unsigned(4))
    tables = np.stack([entries("silu", s, unsigned(4), 2.0**-4, signed(8)) for s in (0.1, 0.25, 0.5)])
    return b.graph(b.add("table", x, b.constant("entries", tables), offset=0, axis=1, name="silu"))


def attention() -> Graph:
    """Causal self-attention of two heads: linear projections, two products of activations, softmax between them."""
    rng = np.random.default_rng(7)
    b = Builder("int")
    length, heads, width = 5, 2, 4
    x = b.input("x", (-1, length, heads * width), signed(8), exact_scale(2.0**-6))

    def projected(name: str) -> str:
        weight = b.constant(f"{name}.weight", int8_weight(rng, heads * width, heads * width))
        acc = b.add("linear", x, weight, name=f"{name}.acc")
        narrow = b.add("requantize", acc, shift=8, lo=-127, hi=127, name=name)
        split = b.add("reshape", narrow, shape=(-1, length, heads, width), name=f"{name}.split")
        return b.add("transpose", split, perm=(0, 2, 1, 3), name=f"{name}.heads")

    q, k, v = (projected(name) for name in "qkv")
    scores = b.add("matmul", q, b.add("transpose", k, perm=(0, 1, 3, 2)), name="scores.acc")
    scores = b.add("requantize", scores, shift=4, lo=-2047, hi=2047, name="scores")
    p = softmax(b, scores, 2.0**-7, np.tril(np.ones((length, length), dtype=np.int64)))
    mixed = b.add("requantize", b.add("matmul", p, v, name="mixed.acc"), shift=8, lo=-127, hi=127, name="mixed")
    joined = b.add("reshape", b.add("transpose", mixed, perm=(0, 2, 1, 3)), shape=(-1, length, heads * width))
    out = b.add("linear", joined, b.constant("out.weight", int8_weight(rng, 8, 8)), name="out.acc")
    return b.graph(b.add("add", b.add("requantize", out, shift=7, lo=-127, hi=127, name="out"), x, name="residual"))


def embedding() -> Graph:
    """Token and position embeddings added on one grid, exactly; then logits by the token matrix again."""
    rng = np.random.default_rng(8)
    b = Builder("int")
    tokens = b.input("tokens", (-1, 6), Interval(0, 10))
    matrix = b.constant("wte", rng.integers(-2000, 2001, (11, 8)))
    rows = b.add("gather", matrix, tokens, name="embedded")
    summed = b.add("add", rows, b.constant("wpe", rng.integers(-500, 501, (6, 8))), name="stream")
    narrow = b.add("requantize", summed, shift=5, lo=-127, hi=127, name="narrow")
    logits = b.add("linear", narrow, matrix, name="logits")
    return b.graph(logits, b.add("argmax", logits, axis=2, name="next"))


INTERPOLATION_STEP = 2.0**-9


def interpolated_lookup() -> Graph:
    """sigmoid on 12 bits by 64 + 1 knots and linear interpolation: y = (T[i] (64 - f) + T[i+1] f + 32) >> 6."""
    b = Builder("int")
    x = b.input("x", (-1, 9), unsigned(12), exact_scale(INTERPOLATION_STEP))
    knots = entries("sigmoid", INTERPOLATION_STEP * 64, Interval(0, 64), 2.0**-14, unsigned(15))
    i = b.add("shift_right", x, number(b, 6), name="i")
    f = b.add("clip", b.add("sub", x, b.add("mul", i, number(b, 64))), lo=0, hi=63, name="f")
    left = b.add("table", i, b.constant("left", knots[:-1]), offset=0, axis=None)
    right = b.add("table", i, b.constant("right", knots[1:]), offset=0, axis=None)
    mixed = b.add("add", b.add("mul", left, b.add("sub", number(b, 64), f)), b.add("mul", right, f))
    return b.graph(b.add("requantize", mixed, shift=6, lo=0, hi=1 << 14, name="sigmoid", scale=exact_scale(2.0**-14)))


TRANSPOSED = {"stride": 2, "padding": 1, "output_padding": 1}


def transposed_weight() -> np.ndarray:
    """(in, out, kernel, kernel), as torch stores it."""
    return int8_weight(np.random.default_rng(9), 3, 2, 3, 3)


def transposed_conv() -> Graph:
    """conv_transpose2d: zeros between the neighbours, wide margins, then a convolution by the turned kernel."""
    weight = transposed_weight()
    b = Builder("int")
    x = b.input("x", (-1, 3, 4, 5), signed(8))
    margin = weight.shape[2] - 1 - TRANSPOSED["padding"]
    around = (margin, margin + TRANSPOSED["output_padding"], TRANSPOSED["stride"] - 1)
    spread = b.add("pad", x, margins=((0, 0, 0), (0, 0, 0), around, around), fill=0, name="spread")
    turned = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
    return b.graph(conv(b, spread, turned, np.array([1000, -1000]), name="transposed"))


def convolutions() -> Graph:
    """Depthwise, dilated, strided and grouped convolutions in a row, then 1-D convolution over the flattened rows."""
    rng = np.random.default_rng(10)
    b = Builder("int")
    x = b.input("x", (-1, 4, 9, 8), signed(8))
    y = conv(b, x, int8_weight(rng, 4, 1, 3, 3), name="depthwise.acc", padding=((1, 1), (1, 1)), groups=4)
    y = b.add("requantize", y, shift=7, lo=0, hi=255, name="depthwise")
    y = conv(
        b, y, int8_weight(rng, 6, 2, 3, 3), name="dilated.acc", padding=((2, 2), (2, 2)), dilation=(2, 2), groups=2
    )
    gains = b.constant("dilated.mul", rng.integers(1 << 10, 1 << 12, (6, 1, 1)))
    y = b.add("requantize", y, gains, shift=24, lo=-128, hi=127, name="dilated")
    y = conv(b, y, int8_weight(rng, 3, 6, 3, 2), rng.integers(-9999, 9999, 3), name="strided.acc", stride=(2, 3))
    y = b.add("requantize", y, shift=9, lo=-128, hi=127, name="strided")
    y = b.add("reshape", y, shape=(-1, 3, 12), name="rows")
    return b.graph(conv(b, y, int8_weight(rng, 2, 3, 4), name="line", stride=(2,), padding=((3, 0),)))


def pools() -> Graph:
    """Max pooling with absent padding, average pooling by a sum and a multiplier, global means, and a maximum."""
    b = Builder("int")
    x = b.input("x", (-1, 3, 7, 7), signed(8))
    window = {"kernel": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 1))}
    top = b.add("max_pool", x, name="top", **window)
    sums = b.add("sum_pool", x, name="sums", **window)
    sizes = np.array([4, 6, 6, 4])[:, None] * np.array([4, 6, 6, 4]) / 4  # elements inside each window, over 1
    mean = b.constant("mean.mul", np.floor(2**20 / sizes + 0.5).astype(np.int64))
    average = b.add("requantize", sums, mean, shift=20, lo=-128, hi=127, name="average")
    both = b.add("maximum", top, average, name="both")
    total = b.add("reduce_sum", both, axes=(2, 3), keepdims=False, name="total")
    return b.graph(both, b.add("requantize", total, shift=4, lo=-128, hi=127, name="mean"))


def inception() -> Graph:
    """Four branches concatenated, channels shuffled in two groups, then every second one sliced out, in reverse."""
    rng = np.random.default_rng(11)
    b = Builder("int")
    x = b.input("x", (-1, 4, 6, 6), unsigned(8))
    one = conv(b, x, int8_weight(rng, 2, 4, 1, 1), name="one.acc")
    three = conv(b, x, int8_weight(rng, 4, 4, 3, 3), name="three.acc", padding=((1, 1), (1, 1)))
    branches = [
        b.add("requantize", one, shift=8, lo=0, hi=255, name="one"),
        b.add("requantize", three, shift=9, lo=0, hi=255, name="three"),
        b.add("max_pool", x, kernel=(3, 3), stride=(1, 1), padding=((1, 1), (1, 1)), name="pool"),
        b.add("pad", b.add("slice", x, slices=((1, 0, 1, 2),)), margins=((0, 0, 0),) * 2 + ((1, 0, 0),) * 2, fill=7),
    ]
    branches[3] = b.add("slice", branches[3], slices=((2, 0, 1, 6), (3, 1, 1, 6)), name="shifted")
    joined = b.add("concat", *branches, axis=1, name="joined")
    split = b.add("reshape", joined, shape=(-1, 2, 6, 6, 6), name="split")
    mixed = b.add("transpose", split, perm=(0, 2, 1, 3, 4), name="mixed")
    shuffled = b.add("reshape", mixed, shape=(-1, 12, 6, 6), name="shuffled")
    return b.graph(b.add("slice", shuffled, slices=((1, 11, -2, 6),), name="halved"))


SQUEEZE_STEPS = (2.0**-6, 2.0**-4, 2.0**-8)
"""Steps of the input, of the sigmoid's argument, and of the sigmoid."""


def squeeze_excite() -> Graph:
    """x * sigmoid(W2 relu(W1 mean(x))): a product of two activations, one of them spread over the positions."""
    rng = np.random.default_rng(12)
    b = Builder("int")
    x = b.input("x", (-1, 6, 4, 4), signed(8), exact_scale(SQUEEZE_STEPS[0]))
    mean = b.add(
        "requantize", b.add("reduce_sum", x, axes=(2, 3), keepdims=False), shift=4, lo=-128, hi=127, name="mean"
    )
    squeezed = b.add("linear", mean, b.constant("squeeze.weight", int8_weight(rng, 3, 6)), name="squeeze.acc")
    squeezed = b.add("requantize", squeezed, shift=7, lo=0, hi=255, name="squeeze")
    excited = b.add("linear", squeezed, b.constant("excite.weight", int8_weight(rng, 6, 3)), name="excite.acc")
    excited = b.add("requantize", excited, shift=8, lo=-128, hi=127, name="excite")
    table = entries("sigmoid", SQUEEZE_STEPS[1], signed(8), SQUEEZE_STEPS[2], unsigned(8))
    gate = b.add("table", excited, b.constant("gate.entries", table), offset=-128, axis=None, name="gate")
    spread = b.add("expand", b.add("reshape", gate, shape=(-1, 6, 1, 1)), x, name="spread")
    return b.graph(b.add("requantize", b.add("mul", x, spread, name="product"), shift=8, lo=-128, hi=127, name="gated"))


def residual_cnn() -> Graph:
    """Two residual blocks as the lowering writes them: multipliers, an add, one rounding; option-A shortcut; a head."""
    rng = np.random.default_rng(13)
    b = Builder("int")
    x = b.input("image", (-1, 3, 12, 12), unsigned(8), exact_scale(2.0**-8))

    def gains(name: str, channels: int) -> str:
        return b.constant(f"{name}.mul", rng.integers(1 << 8, 1 << 12, (channels, 1, 1)))

    def layer(y: str, name: str, shape: tuple[int, ...], stride: int = 1) -> str:
        bias = rng.integers(-9999, 9999, shape[0])
        attrs = {"stride": (stride, stride), "padding": ((1, 1), (1, 1))}
        return conv(b, y, int8_weight(rng, *shape), bias, name=f"{name}.acc", **attrs)

    def rectified(acc: str, name: str, channels: int) -> str:
        return b.add("requantize", acc, gains(name, channels), shift=24, lo=0, hi=255, name=name)

    def joined(acc: str, shortcut: str, name: str, channels: int) -> str:
        left = b.add("mul", acc, gains(f"{name}.left", channels), name=f"{name}.scaled")
        right = b.add("mul", shortcut, number(b, 9_000_001), name=f"{name}.scaled")
        return b.add("requantize", b.add("add", left, right, name=f"{name}.sum"), shift=24, lo=0, hi=255, name=name)

    y = rectified(layer(x, "stem", (8, 3, 3, 3)), "stem", 8)
    inner = rectified(layer(y, "block1.conv1", (8, 8, 3, 3)), "block1.relu1", 8)
    y = joined(layer(inner, "block1.conv2", (8, 8, 3, 3)), y, "block1.relu2", 8)
    inner = rectified(layer(y, "block2.conv1", (16, 8, 3, 3), 2), "block2.relu1", 16)
    short = b.add("slice", y, slices=((2, 0, 2, 6), (3, 0, 2, 6)), name="block2.slice")
    short = b.add("pad", short, margins=((0, 0, 0), (4, 4, 0), (0, 0, 0), (0, 0, 0)), fill=0, name="block2.shortcut")
    y = joined(layer(inner, "block2.conv2", (16, 16, 3, 3)), short, "block2.relu2", 16)
    pooled = b.add("sum_pool", y, kernel=(6, 6), stride=(6, 6), padding=((0, 0), (0, 0)), name="pool.sum")
    pooled = b.add("requantize", pooled, number(b, 466_034), shift=24, lo=0, hi=255, name="pool")
    flat = b.add("reshape", pooled, shape=(-1, 16), name="flat")
    weight = b.constant("head.weight", int8_weight(rng, 10, 16))
    bias = b.constant("head.bias", rng.integers(-9999, 9999, 10))
    logits = b.add("linear", flat, weight, bias, name="logits", source=Source("head", "model.py:41"))
    return b.graph(logits)


def folded_batch() -> Graph:
    """Each image cut into four tiles that go through the network as images of their own, then put together again."""
    rng = np.random.default_rng(14)
    b = Builder("int")
    x = b.input("x", (-1, 2, 8, 8), signed(8))
    cut = b.add("reshape", x, shape=(-1, 2, 2, 4, 2, 4), name="cut")
    tiles = b.add("transpose", cut, perm=(0, 2, 4, 1, 3, 5), name="grid")
    tiles = b.add("reshape", tiles, shape=(-4, 2, 4, 4), name="tiles")
    acc = conv(b, tiles, int8_weight(rng, 3, 2, 3, 3), name="tile.acc")
    narrow = b.add("requantize", acc, shift=8, lo=-128, hi=127, name="tile")
    return b.graph(b.add("reshape", narrow, shape=(-1, 4 * 3 * 2 * 2), name="features"))


INTEGER: dict[str, Callable[[], Graph]] = {
    f.__name__: f
    for f in (
        integer_softmax,
        plain_softmax,
        integer_layer_norm,
        gelu_table,
        channel_tables,
        attention,
        embedding,
        interpolated_lookup,
        transposed_conv,
        convolutions,
        pools,
        inception,
        squeeze_excite,
        residual_cnn,
        folded_batch,
    )
}
"""Every integer network here by its name; every target must run all of them."""


def float_cnn(seed: int = 0, *, batch_norm: bool = True) -> Graph:
    """A residual CNN on (N, 3, 12, 12): stem, max pool, one block with a shortcut, global mean, ten logits.

    Modules are named as torch would: conv1, bn1, layer1.conv1, … Images are expected in [0, 1].
    """
    rng = np.random.default_rng(seed)
    b = Builder("float")
    x = b.input("x", (-1, 3, 12, 12))

    def layer(y: str, module: str, norm: str, out: int, channels: int) -> str:
        weight = rng.normal(0, math.sqrt(2 / (9 * channels)), (out, channels, 3, 3)) * rng.uniform(
            0.5, 2, (out, 1, 1, 1)
        )
        source = Source(module, "model.py:1")
        names = [b.constant(f"{module}.weight", weight.astype(np.float32), source=source)]
        if not batch_norm:
            names.append(b.constant(f"{module}.bias", rng.normal(0, 0.2, out).astype(np.float32), source=source))
        attrs = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
        y = b.add("conv", y, *names, name=module, source=source, **attrs)
        if not batch_norm:
            return y
        source = Source(norm, "model.py:2")
        draws = (rng.uniform(0.5, 1.5, out), rng.normal(0, 0.3, out), rng.normal(0, 0.2, out), rng.uniform(0.5, 2, out))
        parameters = [
            b.constant(f"{norm}.{part}", array.astype(np.float32), source=source)
            for part, array in zip(("weight", "bias", "running_mean", "running_var"), draws, strict=True)
        ]
        return b.add("batch_norm", y, *parameters, name=norm, source=source, eps=1e-5)

    def relu(y: str, module: str) -> str:
        return b.add("relu", y, name=module, source=Source(module, "model.py:3"))

    y = relu(layer(x, "conv1", "bn1", 8, 3), "relu")
    y = b.add("max_pool", y, kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)), name="pool", source=Source("pool"))
    inner = relu(layer(y, "layer1.conv1", "layer1.bn1", 8, 8), "layer1.relu1")
    acc = layer(inner, "layer1.conv2", "layer1.bn2", 8, 8)
    y = relu(b.add("add", acc, y, name="layer1.add", source=Source("layer1", "model.py:4")), "layer1.relu2")
    y = b.add("reduce_mean", y, axes=(2, 3), keepdims=False, name="mean", source=Source("", "model.py:5"))
    source = Source("fc", "model.py:6")
    weight = b.constant("fc.weight", rng.normal(0, 0.4, (10, 8)).astype(np.float32), source=source)
    bias = b.constant("fc.bias", rng.normal(0, 0.1, 10).astype(np.float32), source=source)
    return b.graph(b.add("linear", y, weight, bias, name="fc", source=source))


def images(n: int, seed: int = 1) -> np.ndarray:
    """n smooth images in [0, 1] for `float_cnn`."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 1, (n, 3, 4, 4)).repeat(3, axis=2).repeat(3, axis=3)
    return np.clip(coarse + rng.normal(0, 0.1, coarse.shape), 0, 1).astype(np.float32)
