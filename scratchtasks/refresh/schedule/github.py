"""GitHub Actions: a workflow that opens a pull request."""

from .place import Place

_TEXT = """\
# .github/workflows/scratch-refresh.yml: every night CA roots, time zones and other pins are
# looked up; what is new becomes a pull request that says what it means.  Merging it rebuilds.
name: scratch-refresh

on:
  schedule:
    - cron: "{minute} 3 * * *"  # UTC
  workflow_dispatch: {{}}

# Nothing by default; the one job below takes what it needs.
permissions: {{}}

concurrency:
  group: scratch-refresh
  cancel-in-progress: false

jobs:
  refresh:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    permissions:
      contents: write       # push the branch {branch}
      pull-requests: write  # open the pull request
      # The repository must allow it: Settings, Actions, General, "Allow GitHub Actions to create
      # and approve pull requests".
    steps:
      # Pin these to commit digests if your policy says so.
      - uses: actions/checkout@v4
        with:
          persist-credentials: false  # the token is given to the last step only
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - name: Install doit and scratchtasks
        run: python -m pip install scratchtasks
      - name: Refresh
        id: refresh
        # 0: nothing new; 10: scratch.lock was rewritten; 20: something would disappear (read the
        # summary, then run `doit refresh --accept` yourself); all others are errors.
        run: |
          code=0
          doit refresh --markdown > "$RUNNER_TEMP/body.md" || code=$?
          cat "$RUNNER_TEMP/body.md" >> "$GITHUB_STEP_SUMMARY"
          echo "code=$code" >> "$GITHUB_OUTPUT"
          if [ "$code" -ne 0 ] && [ "$code" -ne 10 ]; then exit "$code"; fi
      - name: Open a pull request
        if: steps.refresh.outputs.code == '10'
        env:
          GH_TOKEN: ${{{{ github.token }}}}
          BASE: ${{{{ github.ref_name }}}}
        run: |
          gh auth setup-git
          git config user.name "github-actions[bot]"
          git config user.email "41898282+github-actions[bot]@users.noreply.github.com"
          git switch --force-create {branch}
          git add scratch.lock
          git commit --message "Refresh scratch.lock"
          git push --force origin {branch}
          gh pr create --base "$BASE" --head {branch} --title "Refresh scratch.lock" \\
              --body-file "$RUNNER_TEMP/body.md" ||
              gh pr edit {branch} --body-file "$RUNNER_TEMP/body.md"
"""


def github(place: Place) -> str:
    """The workflow file for *place*."""
    return _TEXT.format(minute=place.minute, branch=place.branch)
