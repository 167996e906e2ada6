"""Options, specs and names: what is allowed, what an error says, and that specs survive a process border."""

from __future__ import annotations

import pickle

import pytest
import torch

from ffpipe.models import create_detector, detector_info, list_detectors
from ffpipe.models.detector import Detector, DetectorSpec, OptionInfo
from ffpipe.models.errors import CheckpointError, PretrainedError
from ffpipe.models.registry import register

SIZE = OptionInfo(64, range(64, 129, 8), "side")
SWITCH = OptionInfo("on", ("on", "off"), "a switch")


@pytest.mark.parametrize("value", [72, "72"])
def test_integers_come_as_numbers_or_text(value):
    assert SIZE.check("size", value) == 72


@pytest.mark.parametrize("value", [63, 73, 136, "x", "7.5", True, None, 72.0])
def test_integers_out_of_range_say_what_is_allowed(value):
    with pytest.raises(ValueError, match="an integer from 64 to 128 in steps of 8 is allowed"):
        SIZE.check("size", value)


@pytest.mark.parametrize("value", ["On", "", True, 1, None])
def test_names_say_what_is_allowed(value):
    with pytest.raises(ValueError, match="one of on, off is allowed"):
        SWITCH.check("switch", value)


@pytest.mark.parametrize("value", [3, "3"])
def test_names_of_digits_come_as_numbers_or_text(value):
    assert OptionInfo("5", ("3", "5"), "a kernel").check("kernel", value) == "3"


def test_resolving_fills_defaults():
    spec = DetectorSpec("x", "", "", 64, options={"size": SIZE, "switch": SWITCH})
    assert spec.resolve({"switch": "off"}) == {"size": 64, "switch": "off"}
    with pytest.raises(ValueError, match="x has no option a, b; it has: size, switch"):
        spec.resolve({"b": 1, "a": 2})


def test_defaults_are_allowed_values():
    for name in list_detectors():
        for option, info in detector_info(name).options.items():
            assert info.check(option, info.default) == info.default
            assert info.help


def test_specs_can_be_pickled():
    spec = detector_info("sfcl-hcmf")
    copy = pickle.loads(pickle.dumps(spec))  # noqa: S301 - our own bytes
    assert copy == spec


def test_unknown_detector_lists_the_known():
    with pytest.raises(ValueError, match="no detector called 'nothing'; there are: .*sfcl-hcmf"):
        create_detector("nothing")


def test_a_name_is_registered_once():
    class Other(Detector):
        spec = DetectorSpec("sfcl-hcmf", "", "", 64)

    with pytest.raises(ValueError, match="registered twice"):
        register("sfcl-hcmf")(Other)
    with pytest.raises(ValueError, match="its spec says sfcl-hcmf"):
        register("other")(Other)


@pytest.mark.parametrize("error", [CheckpointError("a"), PretrainedError("b")])
def test_errors_can_be_pickled(error):
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is type(error)
    assert copy.args == error.args


def test_most_detectors_measure_nothing_on_training_data():
    faces = iter([torch.zeros(2, 2304)])
    model = create_detector("meso4", input_size=32)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.fit_statistics(faces)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert len(list(faces)) == 1, "D was read for nothing"
