"""The numbers that the article's figures show, beside those that are measured here."""

# Above the ten best images of each search the article writes their objectives, nats: the lowest and the highest.
article_ten_best = {4: (2.11, 2.19), 3: (1.90, 4.10), 2: (2.47, 3.30), 5: (2.01, 5.43), 9: (2.39, 2.56)}


def ten_best_table(searches):
    """Header and rows of a table: the lowest and highest objective of the ten best, in the article and here.

    Args:
        searches: a dict from names of searches to dicts from the article's targets to what `vae_opt_util.assess_top`
            returns: `values`, (m,), nats, and `read`, the labels that the judge reads, (m,).
    """
    header = ['target', 'the article (nats)']
    for name in searches:
        header += [f'{name} (nats)', f'{name}: read as target by the judge']
    rows = []
    for target, (lowest, highest) in article_ten_best.items():
        row = [target, f'{lowest:.2f}–{highest:.2f}']
        for found in searches.values():
            values, read = found[target]['values'], found[target]['read']
            row += [f'{min(values):.2f}–{max(values):.2f}', f'{(read == target).sum()} of {len(read)}']
        rows.append(row)
    return header, rows
