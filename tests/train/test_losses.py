"""Every loss by its gradient and by what lowers it."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from p2o_train.collision import collision_loss, geman_mcclure, sample_inside
from p2o_train.config import LossConfig
from p2o_train.geometry import BoxTensors, project_to_so3, rotation_about_y
from p2o_train.losses import (
    bin_loss,
    focal_loss,
    hard_shape_loss,
    huber_loss,
    l1_loss,
    point_loss,
    rotation_loss,
    set_down,
    settled_loss,
    soft_choice_loss,
    soft_shape_loss,
)
from p2o_train.symmetry import symmetry_turns
from points2objects.geometry import Box9DoF
from points2objects.place import BIN_CENTERS, decode_rotation, encode_rotation
from points2objects.settle import rest_on_support
from points2objects.spec import RotationEncoding


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.double, generator=torch.manual_seed(seed))


def turns(*orders: int) -> Tensor:
    return symmetry_turns(torch.tensor(orders)).double()


def points_and_moments(n: int) -> tuple[Tensor, Tensor, Tensor]:
    points = rand(n, 50, 3, seed=3)
    return points, points.mean(dim=1), torch.einsum("npi,npj->nij", points, points) / 50


def random_boxes(n: int, seed: int) -> BoxTensors:
    rotation = project_to_so3(rand(n, 3, 3, seed=seed))
    return BoxTensors(rotation, rand(n, 3, seed=seed + 1), rand(n, 3, seed=seed + 2).abs() + 0.2)


class TestFocal:
    target = torch.tensor([[[[1.0, 0.5, 0.0]]]], dtype=torch.double)

    def test_passes_gradcheck(self) -> None:
        assert gradcheck(lambda x: focal_loss(x, self.target), rand(1, 1, 1, 3).requires_grad_())

    def test_matches_the_formula_by_hand(self) -> None:
        logits = torch.logit(torch.tensor([[[[0.8, 0.3, 0.1]]]], dtype=torch.double))
        hit = 0.2**2 * math.log(0.8)
        miss = 0.5**4 * 0.3**2 * math.log(0.7) + 0.1**2 * math.log(0.9)
        assert focal_loss(logits, self.target).item() == pytest.approx(-(hit + miss))

    def test_is_finite_for_huge_logits_and_without_objects(self) -> None:
        logits = torch.tensor([[[[-200.0, 200.0, 200.0]]]], requires_grad=True)
        loss = focal_loss(logits, torch.zeros(1, 1, 1, 3)) + focal_loss(logits, self.target.float())
        loss.backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        assert torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all()


class TestShape:
    def test_passes_gradcheck(self) -> None:
        logits = rand(3, 5).requires_grad_()
        similarity = torch.rand(3, 5, dtype=torch.double, generator=torch.manual_seed(0))
        assert gradcheck(lambda x: soft_shape_loss(x, similarity), logits)
        assert gradcheck(lambda x: soft_shape_loss(x, similarity, literal=True), logits)
        assert gradcheck(lambda x: hard_shape_loss(x, torch.tensor([0, 4, 2])), logits)

    def test_soft_labels_are_the_minimum_of_the_two_sided_form(self) -> None:
        similarity = torch.tensor([[0.9, 0.4, 0.05]])
        logits = torch.logit(similarity).requires_grad_()
        soft_shape_loss(logits, similarity).sum().backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        assert logits.grad.abs().max().item() < 1e-6

    def test_literal_form_rewards_large_logits_everywhere(self) -> None:
        similarity = torch.tensor([[1.0, 0.1]])
        large = torch.tensor([[50.0, 50.0]])
        sensible = torch.tensor([[4.0, -2.0]])
        assert soft_shape_loss(large, similarity, literal=True) < soft_shape_loss(
            sensible, similarity, literal=True
        )
        assert soft_shape_loss(large, similarity) > soft_shape_loss(sensible, similarity)

    def test_a_soft_choice_is_least_where_scores_differ_as_labels_do(self) -> None:
        """Over the temperature, up to a shift; a colder one comes to hard labels."""
        similarity = torch.tensor([[0.9, 0.4, 0.05]])
        logits = (similarity / 0.1 + 7).requires_grad_()
        soft_choice_loss(logits, similarity, 0.1).sum().backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        assert logits.grad.abs().max().item() < 1e-6
        scores = rand(4, 3, seed=5)
        cold = soft_choice_loss(scores, similarity.double().expand(4, 3), 1e-3)
        torch.testing.assert_close(cold, hard_shape_loss(scores, torch.zeros(4, dtype=torch.long)))
        assert gradcheck(
            lambda x: soft_choice_loss(x, similarity.double().expand(4, 3), 0.1),
            scores.requires_grad_(),
        )

    def test_a_soft_choice_forgives_a_near_miss(self) -> None:
        similarity = torch.tensor([[1.0, 0.8, 0.0]]).expand(2, 3)
        near, far = soft_choice_loss(torch.tensor([[0.0, 3, 0], [0, 0, 3]]), similarity, 0.2)
        assert near < far

    def test_hard_labels_punish_a_near_miss_like_any_other(self) -> None:
        loss = hard_shape_loss(torch.tensor([[0.0, 3.0, 0.0]]).expand(2, 3), torch.tensor([0, 2]))
        assert loss[0] == loss[1]


class TestPoints:
    def test_equals_the_naive_mean_over_points(self) -> None:
        points, mean, moment = points_and_moments(4)
        a, b = random_boxes(4, 10), random_boxes(4, 20)
        expected = []
        for i in range(4):
            moved = points[i] @ a.rotation[i].T + a.translation[i]
            kept = points[i] @ b.rotation[i].T + b.translation[i]
            expected.append((moved - kept).square().sum(dim=1).mean())
        got = point_loss(a, b, mean, moment, turns(1, 1, 1, 1))
        torch.testing.assert_close(got, torch.stack(expected))

    def test_passes_gradcheck(self) -> None:
        _, mean, moment = points_and_moments(3)
        true = random_boxes(3, 20)

        def joint(matrix: Tensor, translation: Tensor) -> Tensor:
            predicted = BoxTensors(project_to_so3(matrix), translation, true.scale)
            return point_loss(predicted, true, mean, moment, turns(1, 2, 0))

        def split(matrix: Tensor) -> Tensor:
            return rotation_loss(project_to_so3(matrix), true.rotation, moment, turns(1, 2, 0))

        matrix, translation = rand(3, 3, 3).requires_grad_(), rand(3, 3).requires_grad_()
        assert gradcheck(joint, (matrix, translation), atol=1e-4)
        assert gradcheck(split, matrix, atol=1e-4)

    @pytest.mark.parametrize(("order", "angle"), [(2, math.pi), (4, math.pi / 2), (0, math.pi / 3)])
    def test_forgives_turns_of_a_symmetric_object_only(self, order: int, angle: float) -> None:
        _, mean, moment = points_and_moments(1)
        true = random_boxes(1, 20)
        turned = true.rotation @ rotation_about_y(torch.tensor([angle], dtype=torch.double))
        predicted = BoxTensors(turned, true.translation, true.scale)
        assert point_loss(predicted, true, mean, moment, turns(order)).item() < 1e-9
        assert point_loss(predicted, true, mean, moment, turns(1)).item() > 0.1
        assert rotation_loss(turned, true.rotation, moment, turns(order)).item() < 1e-6

    def test_rotation_part_does_not_depend_on_the_object_size(self) -> None:
        _, _, moment = points_and_moments(1)
        a, b = random_boxes(1, 10).rotation, random_boxes(1, 20).rotation
        torch.testing.assert_close(
            rotation_loss(a, b, moment, turns(1)), rotation_loss(a, b, moment * 9, turns(1))
        )

    def test_no_objects_give_no_losses(self) -> None:
        none = random_boxes(0, 0)
        empty = torch.zeros(0, 3, 3, dtype=torch.double)
        assert point_loss(none, none, empty[:, 0], empty, turns()).shape == (0,)


class TestMatrix:
    """L_M and L_R: the same norm, before and after the projection."""

    def test_a_stretched_rotation_costs_only_before_the_projection(self) -> None:
        true = random_boxes(3, 10).rotation
        eye = torch.eye(3, dtype=torch.double).expand(3, 3, 3)
        raw = 1.5 * true
        assert rotation_loss(project_to_so3(raw), true, eye, turns(1, 1, 1)).max() < 1e-6
        assert rotation_loss(raw, true, eye, turns(1, 1, 1)).min() > 0.4

    def test_is_the_frobenius_norm_over_root_three_without_weights(self) -> None:
        raw, true = rand(5, 3, 3), random_boxes(5, 10).rotation
        eye = torch.eye(3, dtype=torch.double).expand(5, 3, 3)
        want = torch.linalg.matrix_norm(raw - true) / math.sqrt(3)
        got = rotation_loss(raw, true, eye, turns(1, 1, 1, 1, 1))
        torch.testing.assert_close(got, want, atol=0.011, rtol=0)

    def test_passes_gradcheck(self) -> None:
        true = random_boxes(3, 10).rotation
        eye = torch.eye(3, dtype=torch.double).expand(3, 3, 3)
        raw = rand(3, 3, 3).requires_grad_()
        assert gradcheck(lambda x: rotation_loss(x, true, eye, turns(1, 2, 0)), raw)


class TestBins:
    def test_passes_gradcheck(self) -> None:
        angle = torch.tensor([[0.3, -1.2], [2.0, 3.0], [-3.1, 0.7]], dtype=torch.double)
        assert gradcheck(lambda x: bin_loss(x, angle), rand(3, 8).requires_grad_())

    @pytest.mark.parametrize("angle", [-3.1, -2.5, -1.0, 0.0, 0.2, 1.5, 2.7])
    def test_is_the_sum_of_centernets_terms(self, angle: float) -> None:
        raw = rand(1, 8)
        expected = torch.zeros((), dtype=torch.double)
        for bin_index, middle in enumerate(BIN_CENTERS.tolist()):
            off = (angle - middle + math.pi) % (2 * math.pi) - math.pi
            inside = abs(off) < 2 * math.pi / 3
            scores = raw[:, 4 * bin_index : 4 * bin_index + 2]
            expected += torch.nn.functional.cross_entropy(scores, torch.tensor([int(inside)]))
            if inside:
                sine, cosine = raw[0, 4 * bin_index + 2 : 4 * bin_index + 4]
                for got, want in ((sine, math.sin(off)), (cosine + 1, math.cos(off))):
                    expected += torch.nn.functional.smooth_l1_loss(got, torch.tensor(want).double())
        got = bin_loss(raw, torch.tensor([[angle]], dtype=torch.double))
        torch.testing.assert_close(got[0], expected)

    def test_descent_finds_every_heading(self) -> None:
        angle = torch.linspace(-math.pi, math.pi, 13, dtype=torch.double)
        raw = torch.zeros(13, 8, dtype=torch.double, requires_grad=True)
        optimizer = torch.optim.Adam([raw], lr=0.1)
        for _ in range(150):
            optimizer.zero_grad()
            bin_loss(raw, angle[:, None]).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        found = decode_rotation(raw.detach().numpy(), RotationEncoding.BINS)
        np.testing.assert_allclose(found, rotation_about_y(angle), atol=0.05)

    def test_forgives_turns_of_a_symmetric_object_only(self) -> None:
        true = torch.tensor([[0.4, 0.4 + math.pi]], dtype=torch.double)
        encoded = encode_rotation(rotation_about_y(true[0]).numpy(), RotationEncoding.BINS)
        raw = torch.from_numpy(encoded)
        same = bin_loss(raw, true.expand(2, 2))
        assert same[0].item() == pytest.approx(same[1].item())
        assert bin_loss(raw[1:], true[:, :1]) > same[1] + 0.5


class TestHuber:
    def test_is_torch_s_of_the_distance(self) -> None:
        a, b = 0.5 * rand(20, 3), 0.5 * rand(20, 3, seed=1)
        distance = (a - b).norm(dim=1)
        want = torch.nn.functional.huber_loss(
            distance, torch.zeros_like(distance), reduction="none"
        )
        assert (distance > 1).any()
        assert (distance < 1).any()
        torch.testing.assert_close(huber_loss(a, b), want)

    def test_passes_gradcheck_at_the_truth_too(self) -> None:
        target = torch.zeros(3, 3, dtype=torch.double)
        predicted = torch.stack([target[0], target[0] + 0.3, target[0] + 3]).requires_grad_()
        assert gradcheck(lambda x: huber_loss(x, target), predicted)


class TestSettled:
    def standing(self, n: int, seed: int) -> BoxTensors:
        turn = rotation_about_y(rand(n, seed=seed))
        scale = 0.3 + 0.2 * rand(n, 3, seed=seed + 1).abs().clamp(max=2)
        x, z = rand(n, 2, seed=seed + 2).T
        return BoxTensors(turn, torch.stack([x, scale[:, 1] / 2, z - 3], dim=1), scale)

    def along_the_ray(self, boxes: BoxTensors, factor: float) -> BoxTensors:
        camera = torch.tensor([0.0, 1.0, 0.0], dtype=torch.double)
        moved = camera + factor * (boxes.translation - camera)
        return BoxTensors(boxes.rotation, moved, factor * boxes.scale)

    def test_forgives_what_setting_down_mends(self) -> None:
        true = self.standing(4, seed=0)
        assert settled_loss(self.along_the_ray(true, 1.3), true).max() < 1e-6

    def test_measures_the_box_that_the_runtime_places(self) -> None:
        true, predicted = self.standing(6, seed=0), self.standing(6, seed=5)
        arrays = (t.numpy() for t in (predicted.rotation, predicted.translation, predicted.scale))
        placed = rest_on_support(Box9DoF(*arrays))
        off = np.linalg.norm(placed.translation - true.translation.numpy(), axis=1)
        sizes = off / true.scale.prod(dim=1).numpy() ** (1 / 3)
        assert settled_loss(predicted, true).numpy() == pytest.approx(np.log1p(sizes), abs=0.01)

    def test_sets_down_as_the_runtime_does(self) -> None:
        true, predicted = self.standing(6, seed=0), self.standing(6, seed=5)
        raised = BoxTensors(
            predicted.rotation,
            predicted.translation + torch.tensor([0, 0.1, 0]),
            predicted.scale,
        )
        placed = rest_on_support(
            Box9DoF(*(t.numpy() for t in (raised.rotation, raised.translation, raised.scale)))
        )
        down = set_down(raised, true)
        np.testing.assert_allclose(down.translation, placed.translation, atol=1e-9)
        np.testing.assert_allclose(down.scale, placed.scale, atol=1e-9)
        assert (down.translation - raised.translation).norm(dim=1).min() > 0.01

    def test_leaves_what_stands_on_no_plane_where_it_is(self) -> None:
        true, predicted = self.standing(2, seed=0), self.standing(2, seed=5)
        up = BoxTensors(true.rotation, true.translation + torch.tensor([0, 0.4, 0]), true.scale)
        down = set_down(predicted, up)
        torch.testing.assert_close(down.translation, predicted.translation)
        torch.testing.assert_close(down.scale, predicted.scale)

    def test_grows_with_an_error_of_direction_or_of_relative_height(self) -> None:
        true = self.standing(3, seed=0)
        raised = BoxTensors(
            true.rotation, true.translation + torch.tensor([0, 0.05, 0]), true.scale
        )
        flat = BoxTensors(
            true.rotation, true.translation, true.scale * torch.tensor([1.0, 0.8, 1.0])
        )
        assert settled_loss(raised, true).min() > 0.02
        assert settled_loss(flat, true).min() > 0.02

    def test_objects_that_do_not_rest_on_the_plane_have_no_part(self) -> None:
        true = self.standing(2, seed=0)
        up = BoxTensors(true.rotation, true.translation + torch.tensor([0, 0.4, 0]), true.scale)
        assert settled_loss(self.standing(2, seed=5), up).sum() == 0

    def test_passes_gradcheck(self) -> None:
        true, start = self.standing(3, seed=0), self.standing(3, seed=5)

        def loss(translation: Tensor, scale: Tensor) -> Tensor:
            return settled_loss(BoxTensors(start.rotation, translation, scale), true)

        assert gradcheck(loss, (start.translation.requires_grad_(), start.scale.requires_grad_()))

    def test_is_finite_for_a_box_as_high_as_the_camera(self) -> None:
        true = self.standing(1, seed=0)
        tall = (true.scale * 20).requires_grad_()
        loss = settled_loss(BoxTensors(true.rotation, true.translation, tall), true).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        assert tall.grad is not None
        assert torch.isfinite(tall.grad).all()


def test_l1_sums_over_channels() -> None:
    assert l1_loss(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, 1.0]])).tolist() == [4.0]


class TestCollision:
    @staticmethod
    def ball(n: int, size: int = 16) -> tuple[Tensor, Tensor]:
        """Return points and distances of n balls that fill their canonical cubes."""
        steps = (torch.arange(size, dtype=torch.double) + 0.5) / size - 0.5
        x, y, z = torch.meshgrid(steps, steps, steps, indexing="ij")
        sdf = (x**2 + y**2 + z**2).sqrt() - 0.5
        points = rand(n, 60, 3, seed=1)
        return 0.5 * points / points.norm(dim=-1, keepdim=True), sdf.expand(n, -1, -1, -1)

    def at(self, gap: Tensor, images: tuple[int, int] = (0, 0), scale: float = 1.0) -> Tensor:
        points, sdf = self.ball(2)
        translation = torch.stack([torch.zeros_like(gap), torch.zeros_like(gap), gap])
        boxes = BoxTensors(
            torch.eye(3, dtype=torch.double).expand(2, 3, 3),
            torch.stack([torch.zeros(3, dtype=torch.double), translation]),
            torch.full((2, 3), scale, dtype=torch.double),
        )
        return collision_loss(boxes, points, sdf, torch.tensor(images)).sum()

    def test_is_zero_apart_and_grows_with_overlap(self) -> None:
        losses = [self.at(torch.tensor(gap).double()).item() for gap in (1.3, 1.1, 0.9, 0.7, 0.3)]
        assert losses[0] == losses[1] == 0
        assert 0 < losses[2] < losses[3] < losses[4] < 1

    def test_scale_moves_the_surface(self) -> None:
        gap = torch.tensor(1.2).double()
        assert self.at(gap, scale=1.0) == 0
        assert self.at(gap, scale=1.5) > 0

    def test_objects_of_different_images_do_not_collide(self) -> None:
        assert self.at(torch.tensor(0.3).double(), images=(0, 1)) == 0

    def test_gradient_pushes_overlapping_objects_apart(self) -> None:
        gap = torch.tensor(0.9).double().requires_grad_()
        self.at(gap).backward()  # type: ignore[no-untyped-call]
        assert gap.grad is not None
        assert gap.grad < 0

    def test_passes_gradcheck_in_all_nine_degrees_of_freedom(self) -> None:
        points, sdf = self.ball(3)

        def loss(matrix: Tensor, translation: Tensor, scale: Tensor) -> Tensor:
            boxes = BoxTensors(project_to_so3(matrix), translation, scale)
            return collision_loss(boxes, points[:, :8], sdf, torch.tensor([0, 0, 1]))

        matrix = (torch.eye(3).double() + 0.1 * rand(3, 3, 3)).requires_grad_()
        translation = (0.3 * rand(3, 3, seed=5)).requires_grad_()
        scale = (1 + 0.1 * rand(3, 3, seed=6)).requires_grad_()
        assert gradcheck(loss, (matrix, translation, scale), atol=1e-4)

    def test_sampling_follows_the_axes_and_is_exact_at_cell_centres(self) -> None:
        sdf = -torch.rand(1, 4, 4, 4, dtype=torch.double, generator=torch.manual_seed(0))
        cells = torch.tensor([[0, 1, 2], [3, 0, 1]])
        points = ((cells + 0.5) / 4 - 0.5).double()[None]
        expected = torch.stack([-sdf[0, x, y, z] for x, y, z in cells.tolist()])
        torch.testing.assert_close(sample_inside(sdf, points)[0], expected)

    def test_points_outside_the_grid_and_outside_the_shape_count_nothing(self) -> None:
        _, sdf = self.ball(1)
        points = torch.tensor([[[0.9, 0, 0], [0.49, 0.49, 0.49]]], dtype=torch.double)
        assert sample_inside(sdf, points).tolist() == [[0, 0]]

    def test_robust_function_is_quadratic_then_flat(self) -> None:
        values = geman_mcclure(torch.tensor([0.0, 0.01, 1.0, 1e4])).tolist()
        np.testing.assert_allclose(values, [0, 5e-5, 0.25, 0.5], rtol=1e-3)

    def test_a_lonely_object_collides_with_nothing(self) -> None:
        points, sdf = self.ball(1)
        assert collision_loss(random_boxes(1, 0), points, sdf, torch.tensor([0])).tolist() == [0]


def test_default_weights_follow_the_documented_terms() -> None:
    assert LossConfig().collision_from == pytest.approx(100 / 300)
