"""The shipped models' networks fulfil the interface that `transfer` relies on."""

import inspect

import pytest
import tensorflow as tf

from ros_style_transfer.models import weights
from ros_style_transfer.models.network import Network
from ros_style_transfer.models.registry import MODELS


def members(protocol):
    """The methods that a protocol names, with those of its bases."""
    return {
        name: member
        for base in protocol.__mro__
        for name, member in vars(base).items()
        if inspect.isfunction(member) and not name.startswith("_") and base.__module__ == Network.__module__
    }


@pytest.fixture(scope="module", params=MODELS)
def built(request):
    """A model's name and its network."""
    arrays, facts = weights.load(request.param)
    return request.param, MODELS[request.param].build(arrays, facts, tf.float32, False)


def test_a_network_has_every_member_of_the_protocol(built):
    model, network = built
    protocol = Network
    assert isinstance(network, protocol)
    for name, member in members(protocol).items():
        functions = member, getattr(type(network), name)
        expected, found = (inspect.signature(function).parameters for function in functions)
        # What is called by position may have another name; one that is never given needs a default.
        assert len(found) >= len(expected) - 1, name
        required = [p for p in found.values() if p.default is inspect.Parameter.empty]
        assert len(required) <= len(expected), name


def test_a_networks_levels_are_those_of_the_registry(built):
    model, network = built
    assert sorted(network.levels, reverse=True) == list(MODELS[model].levels)
    assert set(network.modulation_levels) <= set(network.style_levels)
    rounds = [level for levels in network.rounds(MODELS[model].levels) for level in levels]
    assert rounds == list(MODELS[model].levels)
    assert MODELS[model].sequential == (len(network.rounds(MODELS[model].levels)) > 1)


def test_a_models_multiply_adds_are_counted(built):
    model, _ = built
    counts = MODELS[model].multiply_adds(weights.load(model)[1], 64, 48)
    assert counts and all(count > 0 for count in counts.values())
