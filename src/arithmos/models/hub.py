"""Weights published on the Hugging Face hub: hf:org/name@revision -> a file in the hub's own cache."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from arithmos import settings
from arithmos.errors import UsageError
from arithmos.extras import require

SCHEME = "hf:"
USUAL = ("model.safetensors", "pytorch_model.bin")
"""The names under which a repository keeps its weights, tried in this order."""

_REFERENCE = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?(?::(?P<file>[^:\\]+))?")
_READABLE = (".safetensors", ".bin", ".pt", ".pth")
_REFUSALS = {
    "GatedRepoError": "the repository asks for a login",
    "RepositoryNotFoundError": "there is no such repository, or it asks for a login",
    "RevisionNotFoundError": "the repository has no such revision",
    "HFValidationError": "the hub takes no such name",
    "HfHubHTTPError": "the hub refused",
}
"""Errors of the hub's library, the special ones first."""
_FAILED = "the file could not be fetched"


def fetch(reference: str) -> Path:
    """The weights file of a repository, fetched unless the hub's cache has it.

    reference: hf:org/name, with @revision for a branch, tag or commit, and :file for a file of another name than
    the usual ones. The cache is the hub's (HF_HOME), so files fetched by other programs are found. Nothing is fetched
    where ARITHMOS_OFFLINE or HF_HUB_OFFLINE is set.
    Raises UsageError for a reference that is none, a repository, revision or file that does not exist or needs a
    login, and, with the address of the file, where it is not cached and the network cannot be used; MissingTool without
    huggingface_hub.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise UsageError(
            f"'{reference}' names no weights of the hub",
            why="they are named by organisation and repository, then the revision and the file if need be",
            fix="for example hf:timm/resnet18.tv_in1k@main or hf:org/name@v1.0:weights/best.safetensors",
        )
    errors = require("huggingface_hub.errors", "hub")
    try:
        return _found(match["repo"], match["revision"] or "main", match["file"], reference)
    except (errors.HTTPError, errors.HFValidationError, OSError) as problem:
        reason = next((line.strip() for line in str(problem).splitlines() if line.strip()), "it gave no reason")
        raise UsageError(
            next((text for kind, text in _REFUSALS.items() if isinstance(problem, getattr(errors, kind))), _FAILED),
            where=reference,
            why=reason,
            fix="check the name on the hub; for one behind a login, log in with `hf auth login` or set HF_TOKEN",
        ) from problem


def _found(repo: str, revision: str, wanted: str | None, reference: str) -> Path:
    hub, errors = require("huggingface_hub", "hub"), require("huggingface_hub.errors", "hub")
    offline = settings.offline()
    for name in (wanted,) if wanted else USUAL:
        try:
            return Path(hub.hf_hub_download(repo, name, revision=revision, local_files_only=offline))
        except errors.LocalEntryNotFoundError:  # no network: the hub has asked in vain, and its cache has nothing
            offline = True
        except errors.EntryNotFoundError:
            continue
    if offline:
        raise _not_cached(reference, hub.hf_hub_url(repo, wanted or USUAL[0], revision=revision))
    found = [file for file in hub.list_repo_files(repo, revision=revision) if PurePosixPath(file).suffix in _READABLE]
    raise UsageError(
        f"the repository has no file {wanted or ' or '.join(USUAL)}",
        where=reference,
        why=f"its weights files are {', '.join(found) or 'none that can be read'}",
        fix=f"name one: hf:{repo}@{revision}:{found[0]}" if found else "choose another repository",
    )


def _not_cached(reference: str, address: str) -> UsageError:
    forbidden = "ARITHMOS_OFFLINE" if settings.offline() else "HF_HUB_OFFLINE"
    chosen = settings.offline() or require("huggingface_hub.constants", "hub").HF_HUB_OFFLINE
    return UsageError(
        "the weights are not in the hub's cache, and the network cannot be used",
        where=reference,
        why=f"{forbidden} is set" if chosen else "the hub did not answer",
        fix=f"fetch this file where there is a network, and give its path instead of {reference}:\n{address}",
    )
