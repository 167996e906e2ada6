"""The transformer trunk: it is timm's, and only its last blocks train."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import timm
import torch
from layer_reference import n
from torch import nn

from ffpipe.models.errors import PretrainedError
from ffpipe.models.vit import VITS, ViTTrunk


def tiny(train_blocks: int = 2) -> ViTTrunk:
    torch.manual_seed(0)
    return ViTTrunk("vit-tiny", 56, train_blocks=train_blocks)


def pictures() -> torch.Tensor:
    return torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(1))


def test_the_map_holds_the_patch_tokens_row_by_row():
    trunk = tiny().eval()
    with torch.no_grad():
        tokens = trunk.net.forward_features(pictures())
        found = trunk(pictures())
    assert tokens.shape == (2, 17, 192)
    assert found.shape == (2, 192, 4, 4)
    for row in range(4):
        for column in range(4):
            assert torch.equal(found[:, :, row, column], tokens[:, 1 + 4 * row + column])


def test_the_final_norm_is_applied():
    trunk = tiny().eval()
    with torch.no_grad():
        per_token = trunk(pictures())
    torch.testing.assert_close(per_token.mean(1), torch.zeros(2, 4, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(per_token.var(1, unbiased=False), torch.ones(2, 4, 4), atol=1e-3, rtol=0)


def test_the_network_is_timm_s_with_its_names():
    trunk = tiny().eval()
    theirs = timm.create_model(
        "vit_base_patch14_dinov2", img_size=56, num_classes=0, **VITS["vit-tiny"]
    ).eval()
    assert list(trunk.net.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(trunk.net.state_dict())
    with torch.no_grad():
        expected = theirs.forward_features(pictures())
        torch.testing.assert_close(trunk.net.forward_features(pictures()), expected, atol=1e-5, rtol=1e-5)


def test_attention_is_exact_under_autocast_and_linear_layers_follow_it():
    attention = tiny().eval().net.blocks[2].attn
    seen: dict[str, torch.Tensor] = {}
    attention.qkv.register_forward_hook(lambda _, __, output: seen.update(qkv=output))
    attention.proj.register_forward_pre_hook(lambda _, given: seen.update(attended=given[0]))
    tokens = 12 * torch.randn(2, 17, 192, generator=torch.Generator().manual_seed(3))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = attention(tokens)
    assert seen["qkv"].dtype == output.dtype == torch.bfloat16
    assert seen["attended"].dtype == torch.float32
    q, k, v = n(seen["qkv"]).reshape(2, 17, 3, 3, 64).transpose(2, 0, 3, 1, 4)  # (B,3 heads,17,64) each
    weights = scipy.special.softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(64), axis=3)
    assert 0.1 < weights.max(3).mean() < 0.99, "the softmax is neither flat nor saturated"
    expected = (weights @ v).transpose(0, 2, 1, 3).reshape(2, 17, 192)
    np.testing.assert_allclose(n(seen["attended"]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("train_blocks", [1, 2, 3])
def test_only_the_last_blocks_train(train_blocks):
    trunk = tiny(train_blocks)
    training = {name.split(".")[2] for name, p in trunk.named_parameters() if p.requires_grad}
    assert training == {str(number) for number in range(4 - train_blocks, 4)}
    assert all(p.requires_grad for p in trunk.net.blocks[4 - train_blocks :].parameters())


def test_all_blocks_free_the_embeddings_and_the_norm_too():
    assert all(parameter.requires_grad for parameter in tiny(4).parameters())


@pytest.mark.parametrize("train_blocks", [0, 5])
def test_a_number_of_blocks_that_is_not_there(train_blocks):
    with pytest.raises(ValueError, match=f"train_blocks={train_blocks}: vit-tiny has 4 blocks, 1 to 4"):
        tiny(train_blocks)


def gradients(trunk: ViTTrunk, output: torch.Tensor) -> dict[str, torch.Tensor]:
    trunk.zero_grad(set_to_none=True)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(2))
    (output * weights).sum().backward()
    return {name: p.grad for name, p in trunk.named_parameters() if p.grad is not None}


def test_frozen_blocks_keep_no_activations_and_gradients_are_those_of_a_run_without_autograd():
    trunk = tiny().train()
    followed = []
    for block in trunk.net.blocks:
        block.register_forward_hook(lambda _, __, output: followed.append(output.requires_grad))
    found = gradients(trunk, trunk(pictures()))
    assert followed == [False, False, True, True]
    seen: dict[str, torch.Tensor] = {}
    hook = trunk.net.blocks[1].register_forward_hook(lambda _, __, output: seen.update(tokens=output))
    with torch.no_grad():
        trunk(pictures())
    hook.remove()
    tokens = trunk.net.norm(trunk.net.blocks[2:](seen["tokens"]))
    expected = gradients(trunk, tokens[:, 1:].transpose(1, 2).reshape(2, 192, 4, 4))
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())


def test_what_training_keeps_does_not_grow_with_the_frozen_part():
    def kept(train_blocks: int) -> int:
        sizes = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        trunk = tiny(train_blocks).train()
        own = {parameter.data_ptr() for parameter in trunk.parameters()}
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = trunk(pictures())
        assert output.requires_grad
        return sum(size for pointer, size in sizes.items() if pointer not in own)

    one, two, three = kept(1), kept(2), kept(3)
    assert two - one == three - two > 0


def test_training_mode_changes_nothing():
    trunk = tiny()
    with torch.no_grad():
        assert torch.equal(trunk.train()(pictures()), trunk.eval()(pictures()))
    assert not any(isinstance(module, nn.Dropout) and module.p > 0 for module in trunk.modules())


def test_the_tiny_one_has_no_pretrained_weights():
    with pytest.raises(PretrainedError, match="vit-tiny has random weights only: say --pretrained none"):
        ViTTrunk("vit-tiny", 56, "dinov2")
