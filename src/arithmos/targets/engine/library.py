"""The compiled kernels: one C source joined from `kernels/`, built for this machine on first use, bound by ctypes."""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.resources import files

from arithmos.errors import CompileError
from arithmos.native import compile_library

SOURCES = ("vector.h", "plan.h", "tile.h", "finish.h", "convolve.h", "depthwise.h", "pool.h", "run.h")
FLAGS = ("-O3", "-pthread", "-fno-math-errno", "-Wno-psabi")

PATHS = {
    "native": (),
    "vnni256": ("-DARITHMOS_256",),
    "avx2": ("-DARITHMOS_256", "-DARITHMOS_AVX2"),
    "plain": ("-DARITHMOS_PLAIN",),
}
"""The ways to the same integers: the best that this processor has, or nothing beyond what the name says."""

DEPTHWISE_SPAN = 8
MAX_TERMS = 4
MAX_TAPS = 1024

OPS = ("load", "store", "margin", "conv", "depthwise", "join", "copy", "max_pool", "sum_pool", "table")
RAW, FLOAT, DOUBLE, INT64 = range(4)
TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")

_POINTER = ctypes.c_void_p
_WORD = ctypes.c_int64


class Buffer(ctypes.Structure):
    """struct buffer of kernels/plan.h."""

    _fields_ = [
        (name, _WORD)
        for name in (
            *("start", "image_pitch", "row_pitch", "pixel_pitch", "height", "breadth", "channels", "padded"),
            *("top", "left", "bottom", "right", "zero", "width"),
        )
    ]


class Term(ctypes.Structure):
    """struct term of kernels/plan.h."""

    _fields_ = [(name, _WORD) for name in ("buffer", "stride_y", "stride_x", "channel")] + [
        (name, _POINTER) for name in ("multiplier", "real", "wide")
    ]


class Finish(ctypes.Structure):
    """struct finish of kernels/plan.h."""

    _fields_ = [
        *((name, _WORD) for name in ("kind", "shift", "low", "high", "fits", "terms")),
        *((name, _POINTER) for name in ("multiplier", "constant", "real", "offset", "wide", "wide_offset")),
        ("term", Term * MAX_TERMS),
    ]


class Step(ctypes.Structure):
    """struct step of kernels/plan.h; `input` is its `in`."""

    _fields_ = [
        *((name, _WORD) for name in ("op", "input", "output", "kernel_y", "kernel_x", "stride_y", "stride_x")),
        *((name, _WORD) for name in ("dilation_y", "dilation_x", "pad_y", "pad_x", "window")),
        *((name, _POINTER) for name in ("channel", "weights", "bias", "table")),
        *(
            (name, _WORD)
            for name in ("first", "external", "type", "pitch_image", "pitch_channel", "pitch_y", "pitch_x")
        ),
        ("finish", Finish),
    ]


class Plan(ctypes.Structure):
    """struct plan of kernels/plan.h."""

    _fields_ = [
        ("buffers", ctypes.POINTER(Buffer)),
        ("steps", ctypes.POINTER(Step)),
        *((name, _WORD) for name in ("n_steps", "arena_bytes")),
    ]


@cache
def source() -> str:
    """The whole C source."""
    folder = files("arithmos.targets.engine").joinpath("kernels")
    return "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in SOURCES)


@cache
def kernels(path: str = "native") -> ctypes.CDLL:
    """The library of one path. Raises MissingTool without a C compiler, CompileError if it refuses the source."""
    flags = (*FLAGS, *PATHS[path])
    try:
        return bind(compile_library(source(), flags=("-march=native", *flags)))
    except CompileError:  # a compiler that does not know this processor still knows plain C
        return bind(compile_library(source(), flags=flags))


def instructions(library: ctypes.CDLL) -> str:
    """What the kernels of a library are made of: "avx512-vnni", "avx-vnni", "avx2" or "plain"."""
    name: bytes = library.engine_path()
    return name.decode()


def bind(library: ctypes.CDLL) -> ctypes.CDLL:
    """Declare the functions, and make sure that both languages mean the same structures."""
    library.engine_run.argtypes = [ctypes.POINTER(Plan), _POINTER, ctypes.POINTER(_POINTER), _WORD, _WORD, _WORD]
    library.engine_run.restype = None
    library.engine_path.restype = ctypes.c_char_p
    library.engine_vectors.restype = _WORD
    library.engine_lanes_together.restype = _WORD
    library.engine_size.argtypes = [_WORD]
    library.engine_size.restype = _WORD
    sizes = [library.engine_size(i) for i in range(3)]
    assert sizes == [ctypes.sizeof(t) for t in (Buffer, Step, Plan)], "plan.h and library.py differ"
    return library
