"""A fixed simplex equiangular tight frame (ETF) as the last layer."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tagwise.errors import TagwiseValueError
from tagwise.torch._logits import check_tensor

__all__ = ["SimplexETFClassifier", "nearest_simplex_etf", "simplex_etf"]


def simplex_etf(
    num_classes: int,
    dim: int,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """K unit vectors in d ≥ K − 1 dimensions with the cosine −1/(K − 1) between any two, ``[K, d]``.

    For d ≥ K the rows are √(K/(K−1))·(I − 11ᵀ/K) with d − K columns of zeros, for d = K − 1 the same
    vectors in Helmert's basis of the space orthogonal to 1. Computed in f64.

    Raises
    ------
    ValueError
        For fewer than 2 classes, and for d < K − 1, where no simplex ETF exists.

    Examples
    --------
    >>> from tagwise.torch import simplex_etf
    >>> etf = simplex_etf(4, 3)  # a regular tetrahedron
    >>> round(float(etf[0] @ etf[3]), 4)
    -0.3333
    """
    _check_sizes(num_classes, dim)
    scale = math.sqrt(num_classes / (num_classes - 1))
    identity = torch.eye(num_classes, dtype=torch.float64)
    if dim >= num_classes:
        etf = F.pad(identity - 1.0 / num_classes, (0, dim - num_classes))
    else:
        etf = _helmert(num_classes)
    return (scale * etf).to(device=device, dtype=dtype or torch.get_default_dtype())


def nearest_simplex_etf(weight: Tensor) -> tuple[Tensor, float]:
    """The simplex ETF of unit rows nearest to a weight matrix, and the scale that fits best.

    Over all rotations R of a simplex ETF E and all s ≥ 0 the pair minimises ‖W − s·E·R‖_F
    (orthogonal Procrustes): with the singular value decomposition EᵀW = UΣVᵀ in K − 1 dimensions,
    R = UVᵀ and s = tr Σ/K.

    Parameters
    ----------
    weight
        ``[K, d]`` with d ≥ K − 1.

    Returns
    -------
    The frame ``[K, d]`` in f64 and the scale s; 0 for a weight whose rows are all the same.

    Raises
    ------
    ValueError
        As :func:`simplex_etf`, and for numbers that are not finite.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch import nearest_simplex_etf, simplex_etf
    >>> turned = 3 * simplex_etf(3, 2) @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    >>> frame, scale = nearest_simplex_etf(turned)
    >>> round(scale, 4), bool((scale * frame - turned).abs().max() < 1e-6)
    (3.0, True)
    """
    check_tensor("weight", weight)
    if weight.ndim != 2:
        raise TagwiseValueError(f"expected weight of shape [K, d], found {list(weight.shape)}")
    num_classes, dim = weight.shape
    _check_sizes(num_classes, dim)
    wide = weight.detach().to("cpu", torch.float64)
    if not bool(wide.isfinite().all()):
        raise TagwiseValueError("expected weight of finite numbers, found NaN or infinity")
    frame = math.sqrt(num_classes / (num_classes - 1)) * _helmert(num_classes)  # [K, K-1]
    left, sizes, right = torch.linalg.svd(frame.T @ wide, full_matrices=False)
    return frame @ (left @ right), float(sizes.sum() / num_classes)


class SimplexETFClassifier(nn.Module):
    """A linear classifier whose weight is a fixed simplex ETF: logits = W h + b, only b is trained.

    The weight is a buffer: it is in ``state_dict``, moves with ``.to()`` and is exported to ONNX,
    and no optimiser sees it.

    Parameters
    ----------
    num_classes
        K, at least 2.
    in_features
        d, at least K − 1. Networks with d = K save the most parameters (Li et al. 2024).
    bias
        Whether there is a bias, which starts at 0.
    scale
        Norm of the rows of the weight.

    Raises
    ------
    ValueError
        For d < K − 1, fewer than 2 classes, and a scale that is not positive.

    Examples
    --------
    >>> import torch
    >>> from tagwise.torch import SimplexETFClassifier
    >>> head = SimplexETFClassifier(10, in_features=10)
    >>> head(torch.ones(1, 10)).abs().max() < 1e-6  # the all-ones vector is orthogonal to it
    tensor(True)
    >>> [name for name, _ in head.named_parameters()]
    ['bias']
    """

    weight: Tensor
    bias: nn.Parameter | None

    def __init__(
        self,
        num_classes: int,
        in_features: int,
        *,
        bias: bool = True,
        scale: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not 0.0 < scale < math.inf:
            raise TagwiseValueError(f"expected scale to be finite and greater than 0, found {scale}")
        frame = simplex_etf(num_classes, in_features, dtype=torch.float64)
        dtype = dtype or torch.get_default_dtype()
        self.num_classes = num_classes
        self.in_features = in_features
        self.register_buffer("weight", (scale * frame).to(device=device, dtype=dtype))
        zeros = torch.zeros(num_classes, device=device, dtype=dtype)
        self.register_parameter("bias", nn.Parameter(zeros) if bias else None)

    @classmethod
    def nearest(
        cls, weight: Tensor, bias: Tensor | None = None, *, scale: float | None = None
    ) -> SimplexETFClassifier:
        """The classifier nearest to a trained one, ``SimplexETFClassifier.nearest(fc.weight, fc.bias)``.

        See :func:`nearest_simplex_etf`. The rows have the norm ``scale``, or the one that fits
        best; a ``bias`` ``[K]`` is copied.

        Raises
        ------
        ValueError
            As :func:`nearest_simplex_etf`; also when no scale fits, because all rows are the same.
        """
        frame, fitting = nearest_simplex_etf(weight)
        scale = fitting if scale is None else scale
        num_classes, in_features = frame.shape
        if bias is not None and bias.shape != (num_classes,):
            raise TagwiseValueError(f"expected bias of shape [{num_classes}], found {list(bias.shape)}")
        head = cls(
            num_classes,
            in_features,
            bias=bias is not None,
            scale=scale,
            device=weight.device,
            dtype=weight.dtype,
        )
        with torch.no_grad():
            head.weight.copy_(scale * frame)
            if head.bias is not None and bias is not None:
                head.bias.copy_(bias)
        return head

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``[..., K]`` of features ``[..., d]``."""
        if features.shape[-1] != self.in_features:
            raise TagwiseValueError(
                f"expected features of {self.in_features} dimensions, found shape "
                f"{list(features.shape)}"
            )
        return F.linear(features, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Its sizes, for ``print(model)``."""
        return (
            f"num_classes={self.num_classes}, in_features={self.in_features}, "
            f"bias={self.bias is not None}"
        )


def _check_sizes(num_classes: int, dim: int) -> None:
    if num_classes < 2:
        raise TagwiseValueError(f"expected num_classes of at least 2 for a simplex ETF, found {num_classes}")
    if dim < num_classes - 1:
        raise TagwiseValueError(
            f"no simplex ETF of {num_classes} classes exists in {dim} dimensions; "
            f"use at least {num_classes - 1}"
        )


def _helmert(num_classes: int) -> Tensor:
    """Helmert's orthonormal basis of the space orthogonal to 1, one vector per column, [K, K-1]."""
    leading = torch.arange(1, num_classes, dtype=torch.float64)
    rows = torch.arange(num_classes).unsqueeze(1)
    columns = torch.arange(num_classes - 1).unsqueeze(0)
    signs = torch.where(rows <= columns, 1.0, torch.where(rows == columns + 1, -leading, 0.0))
    return signs / (leading * (leading + 1)).sqrt()
