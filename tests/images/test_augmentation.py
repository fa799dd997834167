"""`augment`: what each number does, and that images do not touch each other."""

import math

import pytest
import torch

from weightspace.images.augmentation import AUGMENT_NUMBERS, RANGES, augment

COLUMN = {name: i for i, name in enumerate(RANGES)}


def neutral(n, **values):
    """Rows of `u` that change nothing, but for the parameters given in their own units."""
    identity = dict.fromkeys(RANGES, 0.0) | {"zoom": 1.0, "contrast": 1.0, "saturation": 1.0}
    u = torch.empty(n, AUGMENT_NUMBERS, dtype=torch.float64)
    for name, value in (identity | values).items():
        low, high = RANGES[name]
        u[:, COLUMN[name]] = (value - low) / (high - low)
    return u


def pictures(n, channels=3, height=32, width=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, channels, height, width, generator=generator, dtype=torch.float64)
    return x, torch.zeros_like(x)


def draw(n, channels, size, dtype=torch.float64, seed=0):
    g = torch.Generator().manual_seed(seed)
    shape = (n, channels, size, size)
    x = torch.rand(shape, generator=g, dtype=dtype)
    u = torch.rand(n, AUGMENT_NUMBERS, generator=g, dtype=dtype)
    return x, u, torch.randn(shape, generator=g, dtype=dtype)


def test_there_is_a_number_for_each_parameter():
    assert AUGMENT_NUMBERS == len(RANGES) == 10


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (9, 14)])
def test_neutral_numbers_change_nothing(channels, height, width):
    x, none = pictures(5, channels, height, width)
    assert (augment(x, neutral(5), none) - x).abs().max() < 1e-12


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_depends_on_its_own_numbers_alone(channels):
    x, u, noise = draw(17, channels, 16)
    together = augment(x, u, noise)
    for i in range(17):
        alone = augment(x[i : i + 1], u[i : i + 1], noise[i : i + 1])
        assert (together[i] - alone[0]).abs().max() < 1e-12
    order = torch.randperm(17)
    assert (augment(x[order], u[order], noise[order]) - together[order]).abs().max() < 1e-12


@pytest.mark.parametrize("channels", [1, 3])
def test_single_precision_agrees_with_double(channels):
    x, u, noise = draw(50, channels, 32)
    single = augment(x.float(), u.float(), noise.float())
    assert single.dtype == torch.float32
    assert (single - augment(x, u, noise)).abs().max() < 1e-4


def test_arguments_are_left_as_they_were_and_the_result_is_in_range():
    given = draw(200, 3, 12)
    before = [a.clone() for a in given]
    out = augment(*given)
    for a, b in zip(given, before, strict=True):
        assert torch.equal(a, b)
    assert out.shape == given[0].shape
    assert 0 <= out.min() < 0.01
    assert 0.99 < out.max() <= 1


@pytest.mark.parametrize("size", [16, 32, 64])
def test_translation_scales_with_the_image_and_brings_in_black(size):
    step = 3 * size // 32 if size >= 32 else 1
    x, none = pictures(1, 1, size, size)
    u = neutral(1, shift_x=step / size)
    out = augment(x, u, none)
    assert (out[..., : size - step] - x[..., step:]).abs().max() < 1e-12
    assert (out[..., size - step :] == 0).all()
    out = augment(x, neutral(1, shift_y=-step / size), none)
    assert (out[..., step:, :] - x[..., : size - step, :]).abs().max() < 1e-12


def centre(image):
    """Centre of mass about the middle, (down, right) in pixels."""
    height, width = image.shape[2:]
    rows, columns = torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2
    mass = image[0, 0] / image.sum()
    return (mass.sum(1) @ rows.double()).item(), (mass.sum(0) @ columns.double()).item()


def smooth_dot(height, width, down, right):
    rows = torch.arange(height, dtype=torch.float64)[:, None] - (height - 1) / 2 - down
    columns = torch.arange(width, dtype=torch.float64) - (width - 1) / 2 - right
    return torch.exp(-(rows**2 + columns**2) / 8)[None, None]


@pytest.mark.parametrize(("height", "width"), [(41, 41), (41, 61)])
@pytest.mark.parametrize("degrees", [-15, 7, 15])
def test_rotation_turns_about_the_centre_in_pixels(degrees, height, width):
    x = smooth_dot(height, width, 0, 12)
    angle = math.radians(degrees)
    out = augment(x, neutral(1, rotation=angle), torch.zeros_like(x))
    down, right = centre(out)
    assert math.hypot(down, right) == pytest.approx(12, abs=0.05)
    assert abs(math.degrees(math.atan2(down, right))) == pytest.approx(abs(degrees), abs=0.3)


@pytest.mark.parametrize("zoom", [0.901, 1.099])
def test_zoom_above_one_enlarges(zoom):
    x = smooth_dot(41, 41, 8, 10)
    down, right = centre(augment(x, neutral(1, zoom=zoom), torch.zeros_like(x)))
    assert (down, right) == pytest.approx((8 * zoom, 10 * zoom), abs=0.05)


def test_shear_slides_rows():
    x = smooth_dot(41, 41, 10, 0)
    down, right = centre(augment(x, neutral(1, shear=math.radians(3)), torch.zeros_like(x)))
    assert down == pytest.approx(10, abs=0.05)
    assert abs(right) == pytest.approx(10 * math.tan(math.radians(3)), abs=0.05)


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_is_added_and_contrast_is_about_each_channel_s_mean(channels):
    x, none = pictures(4, channels)
    x = 0.4 + 0.2 * x
    assert (augment(x, neutral(4, brightness=0.15), none) - x - 0.15).abs().max() < 1e-12
    mean = x.mean((2, 3), keepdim=True)
    out = augment(x, neutral(4, contrast=0.5), none)
    assert (out - (mean + 0.5 * (x - mean))).abs().max() < 1e-12
    out = augment(x, neutral(4, contrast=1.5, brightness=-0.1), none)
    assert (out - (mean + 1.5 * (x - mean) - 0.1)).abs().max() < 1e-12


def test_hue_and_saturation_leave_grey_grey_and_keep_intensity():
    x, none = pictures(6, 3)
    x = 0.4 + 0.2 * x
    u = neutral(6, hue=0.07, saturation=1.3)
    out = augment(x, u, none)
    assert (out.mean(1) - x.mean(1)).abs().max() < 1e-12
    assert (out - x).abs().max() > 0.02
    grey = x[:, :1].expand(-1, 3, -1, -1).contiguous()
    assert (augment(grey, u, none) - grey).abs().max() < 1e-12


def test_saturation_scales_the_distance_from_grey():
    x, none = pictures(6, 3)
    x = 0.4 + 0.2 * x
    grey = x.mean(1, keepdim=True)
    out = augment(x, neutral(6, saturation=0.3), none)
    assert (out - (grey + 0.3 * (x - grey))).abs().max() < 1e-12


def test_a_positive_hue_turns_red_towards_green_by_that_part_of_a_circle():
    red = torch.full((1, 3, 8, 8), 0.4, dtype=torch.float64)
    red[:, 0] = 0.6
    r, g, b = augment(red, neutral(1, hue=0.08), torch.zeros_like(red))[0, :, 4, 4].tolist()
    # The hue angle of a colour, from its projection on the plane across the grey axis.
    turn = math.atan2(math.sqrt(3) * (g - b), 2 * r - g - b) / (2 * math.pi)
    assert turn == pytest.approx(0.08, abs=1e-9)


def test_colour_numbers_do_not_touch_grey_images():
    x, none = pictures(3, 1)
    changed = augment(x, neutral(3, hue=0.08, saturation=0.3), none)
    assert torch.equal(changed, augment(x, neutral(3), none))


def test_noise_has_the_deviation_its_number_says():
    x = torch.full((1, 1, 64, 64), 0.5, dtype=torch.float64)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    out = augment(x, neutral(1, noise=0.02), noise)
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    assert (out - x - 0.02 * noise)[inner].abs().max() < 1e-12
    assert RANGES["noise"] == (0.0, 0.03)


def test_random_numbers_cover_the_ranges_of_the_nws_data_set():
    stated = {
        "shift_x": (-3 / 32, 3 / 32),
        "shift_y": (-3 / 32, 3 / 32),
        "rotation": (-math.pi / 12, math.pi / 12),
        "zoom": (0.901, 1.099),
        "shear": (-math.pi / 60, math.pi / 60),
        "brightness": (-0.2, 0.2),
        "contrast": (0.5, 1.5),
        "hue": (-0.08, 0.08),
        "saturation": (0.3, 1.5),
        "noise": (0.0, 0.03),
    }
    assert {name: pytest.approx(bounds) for name, bounds in stated.items()} == RANGES


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU at hand")
def test_a_gpu_gives_the_same_images():
    given = draw(64, 3, 32)
    out = augment(*(a.cuda() for a in given))
    assert out.is_cuda
    assert (out.cpu() - augment(*given)).abs().max() < 1e-9
