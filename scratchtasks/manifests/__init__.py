"""Where Kubernetes, Kustomize, Compose and Helm files name our images, and what to put there.

Pure: text in, text out; every byte that is not part of a reference stays as it was.
Start with `references.py`; `scalars.py` finds values by position, `templates.py` keeps Helm's
`{{ }}` out of the way of a YAML scanner.
"""
