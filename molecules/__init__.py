"""Molecules: SMILES and tokens, the joint model, properties, experiments and drawings. Nothing here searches."""
