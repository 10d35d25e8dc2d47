"""A curve as an SVG file, without a plotting library."""

WIDTH, HEIGHT, LEFT, BELOW, ABOVE = 640, 360, 56, 44, 32


def plot(path, title, points, levels, labels):
    """`points` are (x, y); `levels` horizontal lines, name: y; `labels` those of the two axes."""
    xs, ys = [x for x, _ in points], [*(y for _, y in points), *levels.values()]
    right, top = max(xs), max(ys) * 1.05

    def place(x, y):
        across = LEFT + x / right * (WIDTH - LEFT - 16)
        return f"{across:.1f},{HEIGHT - BELOW - y / top * (HEIGHT - BELOW - ABOVE):.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{WIDTH / 2}" y="20" text-anchor="middle" font-size="14">{title}</text>',
    ]
    for step in range(6):
        for x, y, anchor in ((right * step / 5, 0, "middle"), (0, top * step / 5, "end")):
            across, down = place(x, y).split(",")
            shift = (0, 18) if anchor == "middle" else (-8, 4)
            text = f"{x:.0f}" if anchor == "middle" else f"{y:.1f}"
            parts.append(
                f'<text x="{float(across) + shift[0]:.1f}" y="{float(down) + shift[1]:.1f}" '
                f'text-anchor="{anchor}">{text}</text>'
            )
    for name, y in levels.items():
        start, end = place(0, y), place(right, y)
        parts.append(f'<polyline points="{start} {end}" stroke="#888" stroke-dasharray="4"/>')
        across, down = end.split(",")
        parts.append(
            f'<text x="{across}" y="{float(down) - 5:.1f}" text-anchor="end">{name}</text>'
        )
    axes = f"{place(0, top)} {place(0, 0)} {place(right, 0)}"
    parts.append(f'<polyline points="{axes}" fill="none" stroke="black"/>')
    curve = " ".join(place(x, y) for x, y in points)
    parts.append(f'<polyline points="{curve}" fill="none" stroke="#06c" stroke-width="1.5"/>')
    middle = (HEIGHT - BELOW + ABOVE) / 2
    parts += [
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">{labels[0]}</text>',
        f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">'
        f"{labels[1]}</text>",
        "</svg>",
    ]
    path.write_text("\n".join(parts) + "\n")
