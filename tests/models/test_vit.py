"""The transformer trunk: it is timm's, and only its last blocks train."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ffpipe.models.errors import PretrainedError
from ffpipe.models.vit import ViTTrunk


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
