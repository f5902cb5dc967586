"""How far apart colours are, as people with a colour vision deficiency see them."""

import matplotlib
import numpy as np

# What is seen, in linear RGB (Machado, Oliveira and Fernandes, IEEE TVCG 15, 2009).
DEFICIENCIES = {
    'none': np.eye(3),
    'protanopia': [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    'deuteranopia': [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    'tritanopia': [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]}


def least_distance(colors, deficiency):
    """The least distance of two colours, CIEDE2000, as seen with a deficiency."""
    rgb = np.array([matplotlib.colors.to_rgb(color) for color in colors])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ np.transpose(deficiency)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = np.clip(linear, 0, 1) @ to_xyz.T / to_xyz.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    lab = np.c_[116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])]
    i, j = np.triu_indices(len(lab), 1)
    return ciede2000(lab[i].T, lab[j].T).min()


def ciede2000(lab_1, lab_2):
    """CIEDE2000 distances of colours in CIELAB, (3, n) each (Sharma, Wu and Dalal, 2005)."""
    (l_1, a_1, b_1), (l_2, a_2, b_2) = lab_1, lab_2

    def weight(c):
        return np.sqrt(c ** 7 / (c ** 7 + 25.0 ** 7))

    stretch = 1.5 - 0.5 * weight((np.hypot(a_1, b_1) + np.hypot(a_2, b_2)) / 2)
    c_1, c_2 = np.hypot(stretch * a_1, b_1), np.hypot(stretch * a_2, b_2)
    h_1, h_2 = (np.degrees(np.arctan2(b, stretch * a)) % 360 for a, b in ((a_1, b_1), (a_2, b_2)))
    turn = (h_2 - h_1 + 180) % 360 - 180
    h = (h_1 + turn / 2) % 360
    c, lightness = (c_1 + c_2) / 2, ((l_1 + l_2) / 2 - 50) ** 2
    t = 1 + sum(k * np.cos(np.radians(n * h - shift)) for k, n, shift in (
        (-0.17, 1, 30), (0.24, 2, 0), (0.32, 3, -6), (-0.20, 4, 63)))
    light = (l_2 - l_1) / (1 + 0.015 * lightness / np.sqrt(20 + lightness))
    chroma = (c_2 - c_1) / (1 + 0.045 * c)
    hue = 2 * np.sqrt(c_1 * c_2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * c * t)
    rotation = -2 * weight(c) * np.sin(np.radians(60 * np.exp(-((h - 275) / 25) ** 2)))
    return np.sqrt(light ** 2 + chroma ** 2 + hue ** 2 + rotation * chroma * hue)
