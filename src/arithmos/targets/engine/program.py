"""A program: steps packed for the kernels, with an arena for the tensors of one block of images and thread."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arithmos.targets.arena import Life, offsets
from arithmos.targets.engine import library as c
from arithmos.targets.engine.pack import pack_conv, pack_finish
from arithmos.targets.engine.step import Conv, Copy, Join, Load, Pool, Requantize, Step, Store, Table, Tensor

ARENA_BYTES = 512 << 10
"""What the tensors of a block may take: half of a second-level cache of 1 MiB, where steps hand results over."""
MAX_BLOCK = 8
ALIGNMENT = 64
"""Bytes of a line of the cache, and of the widest vector."""

Margin = tuple[int, int, int, int]


class Program:
    """Packed once, run by any number of threads. A class because it owns the memory that the kernels read."""

    def __init__(self, steps: Sequence[Step], kernels: ctypes.CDLL, block: int = 0) -> None:
        self._kernels = kernels
        self._owned: list[Any] = []
        margins = margins_of(steps)
        tensors = list(margins)
        one = [_image_bytes(tensor, margins[tensor]) for tensor in tensors]
        touched = _touched(steps, tensors)
        self.block = block or max(1, min(MAX_BLOCK, ARENA_BYTES // max(1, _arrange(one, touched, 1)[1])))
        starts, size = _arrange(one, touched, self.block)
        guard = _reach(steps)
        self.arena_bytes = _rounded(guard + size + guard, 4096)
        self._index = {tensor: i for i, tensor in enumerate(tensors)}
        buffers = (_buffer(t, margins[t], guard + offset) for t, offset in zip(tensors, starts, strict=True))
        self._buffers = (c.Buffer * len(tensors))(*buffers)
        packed = [self._pack(step) for step in with_margins(steps, margins)]
        self._steps = (c.Step * len(packed))(*packed)
        self._plan = c.Plan(self._buffers, self._steps, len(packed), self.arena_bytes)

    def run(self, externals: Sequence[np.ndarray], images: int, threads: int) -> None:
        """Execute all steps for `images` images; the external arrays are read and written in place."""
        threads = max(1, min(threads, images))
        rounds = -(-images // (threads * self.block))
        block = -(-images // (threads * rounds))  # no larger than self.block, and all threads have as many
        arena = np.empty(threads * self.arena_bytes + 64, dtype=np.uint8)
        pointers = (ctypes.c_void_p * len(externals))(*(a.ctypes.data for a in externals))
        start = _rounded(arena.ctypes.data, 64)
        self._kernels.engine_run(ctypes.byref(self._plan), start, pointers, images, block, threads)

    def _keep(self, array: np.ndarray | None) -> int | None:
        """The address of an array that lives as long as the program."""
        if array is None:
            return None
        array = np.ascontiguousarray(array)
        self._owned.append(array)
        return int(array.ctypes.data)

    def _pack(self, step: Step | Tensor) -> c.Step:
        match step:
            case Tensor():
                return c.Step(op=c.OPS.index("margin"), output=self._index[step])
            case Load(tensor, external, dtype, pitches):
                return _transfer("load", external, dtype, pitches, output=self._index[tensor])
            case Store(tensor, external, dtype, pitches):
                return _transfer("store", external, dtype, pitches, input=self._index[tensor])
            case Conv():
                return self._conv(step)
            case Join():
                source = -1 if step.input is None else self._index[step.input]
                finish = self._finish(step.requantize, step.output)
                return c.Step(op=c.OPS.index("join"), input=source, output=self._index[step.output], finish=finish)
            case Copy():
                return c.Step(op=c.OPS.index("copy"), **self._ends(step), first=step.first)
            case Pool():
                window = _window(step.kernel, step.stride, step.padding)
                return c.Step(op=c.OPS.index(f"{step.kind}_pool"), **self._ends(step), **window)
            case Table():
                return c.Step(op=c.OPS.index("table"), **self._ends(step), table=self._keep(_stored_table(step)))

    def _ends(self, step: Conv | Copy | Pool | Table) -> dict[str, int]:
        return {"input": self._index[step.input], "output": self._index[step.output]}

    def _conv(self, step: Conv) -> c.Step:
        packed = pack_conv(step, self._kernels.engine_vectors(), bool(self._kernels.engine_lanes_together()))
        assert packed.depthwise or packed.weights.size > 0
        return c.Step(
            op=c.OPS.index("depthwise" if packed.depthwise else "conv"),
            **self._ends(step),
            **_window(step.weight.shape[2:], step.stride, step.padding),
            dilation_y=step.dilation[0],
            dilation_x=step.dilation[1],
            window=packed.window,
            channel=self._keep(packed.channel),
            weights=self._keep(packed.weights),
            bias=self._keep(packed.bias),
            finish=self._finish(step.requantize, step.output),
        )

    def _finish(self, requantize: Requantize | None, output: Tensor) -> c.Finish:
        if requantize is None:
            return c.Finish(kind=c.RAW)
        packed = pack_finish(requantize, output)
        assert packed is not None, "the planner keeps multipliers beyond int32 away from the kernels"
        names = {c.FLOAT: ("real", "offset"), c.DOUBLE: ("wide", "wide_offset")}.get(packed.kind)
        result = c.Finish(
            kind=packed.kind,
            shift=packed.shift,
            low=packed.low,
            high=packed.high,
            fits=packed.fits,
            terms=len(requantize.terms),
            multiplier=self._keep(packed.multiplier),
            constant=self._keep(packed.constant),
        )
        for i, term in enumerate(requantize.terms):
            multiplier = self._keep(packed.term_multipliers[i])
            result.term[i] = c.Term(self._index[term.tensor], *term.stride, term.channel, multiplier)
        if names is not None:
            setattr(result, names[0], self._keep(packed.real))
            setattr(result, names[1], self._keep(packed.offset))
            for i, array in enumerate(packed.term_reals):
                setattr(result.term[i], names[0], self._keep(array))
        return result


def _transfer(op: str, external: int, dtype: str, pitches: tuple[int, int, int, int], **ends: int) -> c.Step:
    image, channel, y, x = pitches
    places = {"pitch_image": image, "pitch_channel": channel, "pitch_y": y, "pitch_x": x}
    return c.Step(op=c.OPS.index(op), external=external, type=c.TYPES.index(dtype), **places, **ends)


def _window(kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> dict[str, int]:
    names = ("kernel_y", "kernel_x", "stride_y", "stride_x", "pad_y", "pad_x")
    return dict(zip(names, (*kernel, *stride, *padding), strict=True))


def _stored_table(step: Table) -> np.ndarray:
    """256 stored bytes for the 256 stored bytes; those that stand for no entry repeat the nearest one."""
    index = np.clip(np.arange(256) - step.input.zero - step.offset, 0, len(step.entries) - 1)
    return (step.entries.astype(np.int64)[index] + step.output.zero).astype(np.uint8)


def _rounded(size: int, unit: int) -> int:
    """The next multiple of a unit."""
    return -(-size // unit) * unit


def _buffer(tensor: Tensor, margin: Margin, offset: int) -> c.Buffer:
    top, left, bottom, right = margin
    pixel = tensor.padded * tensor.width
    row = (left + tensor.breadth + right) * pixel
    return c.Buffer(
        start=offset + top * row + left * pixel,
        image_pitch=_image_bytes(tensor, margin),
        row_pitch=row,
        pixel_pitch=pixel,
        height=tensor.height,
        breadth=tensor.breadth,
        channels=tensor.channels,
        padded=tensor.padded,
        top=top,
        left=left,
        bottom=bottom,
        right=right,
        zero=tensor.zero,
        width=tensor.width,
    )


def _image_bytes(tensor: Tensor, margin: Margin) -> int:
    top, left, bottom, right = margin
    return (top + tensor.height + bottom) * (left + tensor.breadth + right) * tensor.padded * tensor.width


def margins_of(steps: Sequence[Step]) -> dict[Tensor, Margin]:
    """Every tensor of the steps, with the margin of zeros that its convolutions need."""
    margins: dict[Tensor, Margin] = {}
    for step in steps:
        for tensor in (*reads(step), *writes(step)):
            margins.setdefault(tensor, (0, 0, 0, 0))
        if isinstance(step, Conv):
            margins[step.input] = _widest(margins[step.input], _needed(step))
    return margins


def _needed(step: Conv) -> Margin:
    """How far the windows of a convolution reach beyond its input."""
    behind = []
    sizes = ((step.output.height, step.input.height), (step.output.breadth, step.input.breadth))
    for axis, (out, size) in enumerate(sizes):
        reach = (out - 1) * step.stride[axis] + (step.weight.shape[2 + axis] - 1) * step.dilation[axis] + 1
        behind.append(max(0, reach - step.padding[axis] - size))
    return step.padding[0], step.padding[1], behind[0], behind[1]


def _widest(a: Margin, b: Margin) -> Margin:
    return max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _reach(steps: Sequence[Step]) -> int:
    """How far outside a tensor numbers may be read that nothing depends on, in bytes.

    The shifted channels of a term are multiplied by 0; a depthwise row computes whole segments and stores a part.
    """
    reach = [64]
    for step in steps:
        if isinstance(step, Conv) and step.groups > 1:
            reach.append((c.DEPTHWISE_SPAN * step.stride[1] + 4) * step.input.padded)
        if isinstance(step, Conv | Join) and step.requantize is not None:
            for term in step.requantize.terms:
                reach.append((abs(term.channel) + step.output.padded) * term.tensor.width)
    return _rounded(max(reach), 64)


def with_margins(steps: Sequence[Step], margins: Mapping[Tensor, Margin]) -> list[Step | Tensor]:
    """The steps, each followed by the tensor whose margin has to be filled, if it is the first to write it."""
    result: list[Step | Tensor] = []
    filled: set[Tensor] = set()
    for step in steps:
        result.append(step)
        fresh = [tensor for tensor in writes(step) if any(margins[tensor]) and tensor not in filled]
        result += fresh
        filled.update(fresh)
    return result


def reads(step: Step) -> list[Tensor]:
    """The tensors a step reads."""
    found: list[Tensor] = []
    if isinstance(step, Store):
        found.append(step.tensor)
    elif not isinstance(step, Load) and step.input is not None:
        found.append(step.input)
    requantize = step.requantize if isinstance(step, Conv | Join) else None
    return found + [term.tensor for term in (requantize.terms if requantize else ())]


def writes(step: Step) -> list[Tensor]:
    """The tensors a step writes."""
    return [step.tensor] if isinstance(step, Load) else [] if isinstance(step, Store) else [step.output]


def _touched(steps: Sequence[Step], tensors: Sequence[Tensor]) -> list[tuple[int, int]]:
    """(first step, last step) that touches each tensor."""
    touched: dict[Tensor, list[int]] = {tensor: [] for tensor in tensors}
    for i, step in enumerate(steps):
        for tensor in (*reads(step), *writes(step)):
            touched[tensor].append(i)
    return [(min(touched[t]), max(touched[t])) for t in tensors]


def _arrange(one: Sequence[int], touched: Sequence[tuple[int, int]], images: int) -> tuple[list[int], int]:
    """(start of each tensor, size) for a block of images: one has the bytes of each for one image."""
    return offsets([Life(size * images, *steps) for size, steps in zip(one, touched, strict=True)], ALIGNMENT)
