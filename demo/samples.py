#!/usr/bin/env python3
"""Generates pictures for the demo: COUNT different JPEGs of 1600 x 1200 in DIR.

Each is a landscape of noise in several octaves, lit from the upper left and coloured by height with its own palette,
made with the `vips` command (package libvips-tools). The same number always gives the same picture.
"""
import argparse
import colorsys
import os
import pathlib
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

SIZE = (800, 600)  # the noise is soft, so it is made small and enlarged
ENLARGE = 2
STYLES = ("islands", "contours", "cells", "dunes")
STEPS = {"contours": 12, "dunes": 8}  # of colour, so that there are edges to find
LIGHT = "3 3 0.055 1\n-1 -1 0\n-1 0 1\n0 1 1\n"  # 1 on flat ground, more where it faces the upper left
ISLANDS = [(0, (8, 20, 60)), (0.44, (20, 90, 150)), (0.50, (90, 190, 200)), (0.50, (240, 222, 170)),
           (0.54, (225, 200, 140)), (0.54, (120, 170, 70)), (0.74, (40, 95, 45)), (0.85, (120, 105, 95)),
           (0.85, (235, 238, 245)), (1, (255, 255, 255))]


def vips(*arguments, folder=None):
    # The optional modules of libvips (PDF, ImageMagick ...) are not needed; without them it starts in half the time.
    environment = {**os.environ, "VIPSHOME": "/nonexistent", "VIPS_CONCURRENCY": "1"}
    subprocess.run(["vips", *map(str, arguments)], check=True, cwd=folder, env=environment)


def ramp(stops, t):
    for (low, below), (high, above) in zip(stops, stops[1:]):
        if t <= high:
            return [a + (b - a) * (t - low) / (high - low) for a, b in zip(below, above)]
    return stops[-1][1]


def colour(style, hue, turn, t):
    if style == "islands":
        return ramp(ISLANDS, t)
    if style in STEPS:
        t = min(int(STEPS[style] * t), STEPS[style] - 1) / (STEPS[style] - 1)
    rgb = colorsys.hsv_to_rgb((hue + turn * t) % 1, 0.85 - 0.55 * t ** 3, 0.15 + 0.85 * t ** 0.8)
    return [255 * c for c in rgb]


def palette(style, dice):
    hue, turn = dice.random(), dice.choice([-1, 1]) * dice.uniform(0.12, 0.4)
    pixels = (colour(style, hue, turn, i / 255) for i in range(256))
    return b"P6 256 1 255\n" + bytes(round(c) for pixel in pixels for c in pixel)


def noise(style, at, dice):
    """Octaves of noise, the first the strongest, summed into one."""
    weights = {"islands": (1, 0.5, 0.12), "contours": (1, 0.4, 0.03), "cells": (-0.006, 0.6, 0.04),
               "dunes": (0.35, 0.6, 0.03)}
    for octave, cell in enumerate((300, 110, 26)):
        seed, cell = dice.randrange(1 << 30), int(cell * dice.uniform(0.8, 1.3))
        if octave == 0 and style == "dunes":
            vips("sines", at("0.v"), *SIZE, "--hfreq", dice.randint(1, 3), "--vfreq", dice.randint(2, 5))
        else:
            kind = "worley" if octave == 0 and style == "cells" else "perlin"
            vips(kind, at(f"{octave}.v"), *SIZE, "--cell-size", cell, "--seed", seed)
    pathlib.Path(at("weights.mat")).write_text("3 1\n" + " ".join(map(str, weights[style])))
    vips("bandjoin", "0.v 1.v 2.v", at("octaves.v"), folder=at(""))  # names in a list cannot hold a space
    vips("recomb", at("octaves.v"), at("height.v"), at("weights.mat"))


def picture(number, path):
    dice, style = random.Random(number), STYLES[number % len(STYLES)]
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: os.path.join(folder, name)
        noise(style, at, dice)
        pathlib.Path(at("light.mat")).write_text(LIGHT)
        pathlib.Path(at("palette.ppm")).write_bytes(palette(style, dice))
        vips("resize", at("height.v"), at("large.v"), ENLARGE)
        vips("scale", at("large.v"), at("grey.v"))
        vips("maplut", at("grey.v"), at("flat.v"), at("palette.ppm"))
        vips("conv", at("large.v"), at("light.v"), at("light.mat"))
        vips("multiply", at("flat.v"), at("light.v"), f"{path}[Q=90]")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", metavar="DIR", type=pathlib.Path)
    parser.add_argument("count", metavar="COUNT", type=int)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    paths = [options.folder / f"sample-{number:03}.jpg" for number in range(1, options.count + 1)]
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(picture, range(1, options.count + 1), paths))
    except FileNotFoundError:
        sys.exit("samples.py: the vips command is missing (package libvips-tools)")
    except subprocess.CalledProcessError as problem:
        sys.exit(f"samples.py: {' '.join(problem.cmd[:2])} failed")


if __name__ == "__main__":
    main()
