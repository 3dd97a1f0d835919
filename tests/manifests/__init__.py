"""Manifests: references found by position and resolved in place."""
