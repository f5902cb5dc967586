"""Images of digits: data, objectives, measures and figures. Nothing here searches."""
