"""Pushing to real registries, through a proxy that misbehaves when it is told to."""
