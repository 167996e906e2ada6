"""sida-linear against NumPy: standardised on the training faces, then linear; what is measured is saved."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from layer_reference import n
from torch import Tensor

from ffpipe.models import checkpoint, create_detector
from ffpipe.models.errors import PretrainedError
from ffpipe.models.sida_linear import Standardise

IMAGE = torch.zeros(5, 3, 64, 64)


def statistics(count: int, seed: int = 0) -> Tensor:
    """D-like rows with long tails, a different scale in each column, and three constant columns."""
    random = torch.Generator().manual_seed(seed)
    scale = torch.logspace(-1, 3, 2304)
    d = torch.randn(count, 2304, generator=random).exp() * scale
    d[:, 1000:] *= -1
    d[:, 63], d[:, 64], d[:, 65] = 0, 7, -3
    return d


def test_it_is_compression_standardisation_and_a_linear_layer():
    train, test = statistics(200), statistics(5, seed=1)
    model = create_detector("sida-linear").eval()
    model.fit_statistics(train.split(64))
    with torch.no_grad():
        logits = n(model(IMAGE, test))
    compressed = np.sign(n(train)) * np.log(1 + np.abs(n(train)))
    std = compressed.std(0)
    std[[63, 64, 65]] = 1
    assert std.min() > 0.1
    standard = (np.sign(n(test)) * np.log(1 + np.abs(n(test))) - compressed.mean(0)) / std
    expected = standard @ n(model.classifier.weight).T + n(model.classifier.bias)
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@pytest.mark.parametrize("sizes", [(300,), (1, 299), (100, 0, 100, 100), (299, 1)])
def test_batches_do_not_matter_and_offsets_cost_no_precision(sizes):
    rows = torch.randn(300, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 1e6
    standardise = Standardise(6)
    standardise.fit(rows.split(list(sizes)))
    np.testing.assert_allclose(n(standardise.mean), rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(n(standardise.std), rows.numpy().std(0), rtol=1e-6)


def test_a_column_that_is_constant_in_training_keeps_its_scale():
    standardise = Standardise(2)
    rows = torch.tensor([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0001]])
    standardise.fit([rows])
    assert standardise.std[0].item() == pytest.approx(np.sqrt(2 / 3))
    assert standardise.std[1] == 1
    assert standardise(torch.tensor([[2.0, 6.0]]))[0].tolist() == pytest.approx([0.0, 1.0], abs=1e-4)


def test_fitting_again_forgets_the_first_time():
    standardise = Standardise(3)
    standardise.fit([torch.full((4, 3), 100.0)])
    rows = torch.randn(10, 3, generator=torch.Generator().manual_seed(3))
    standardise.fit([rows])
    np.testing.assert_allclose(n(standardise.mean), n(rows).mean(0), atol=1e-6)


def test_unfitted_it_takes_compressed_values_as_they_are():
    model = create_detector("sida-linear")
    assert model.standardise.mean.eq(0).all() and model.standardise.std.eq(1).all()


def test_what_was_measured_is_saved(tmp_path):
    model = create_detector("sida-linear").eval()
    model.fit_statistics([statistics(20)])
    checkpoint.save(tmp_path, model, name="sida-linear", options=model.options, extra={}, metrics={}, card="")
    loaded = checkpoint.load(tmp_path).model
    assert torch.equal(loaded.standardise.mean, model.standardise.mean)
    assert torch.equal(loaded.standardise.std, model.standardise.std)
    assert not torch.equal(loaded.standardise.std, torch.ones(2304))


def test_the_image_is_not_looked_at():
    model = create_detector("sida-linear").eval()
    with torch.no_grad():
        assert torch.equal(model(IMAGE, statistics(5)), model(IMAGE + 0.7, statistics(5)))


def test_nothing_to_fit_is_an_error():
    model = create_detector("sida-linear")
    with pytest.raises(ValueError, match="no rows"):
        model.fit_statistics([])
    with pytest.raises(ValueError, match="no rows"):
        model.fit_statistics([torch.zeros(0, 2304)])
    with pytest.raises(ValueError, match=r"rows of 2304 values, got \(2, 100\)"):
        model.fit_statistics([torch.zeros(2, 100)])


def test_it_takes_no_pretrained_weights():
    with pytest.raises(PretrainedError, match="sida-linear has no backbone"):
        create_detector("sida-linear", pretrained="imagenet")
