"""What holds for every test."""

import signal

# A shell that starts the tests in the background has them ignore SIGINT, and every program that
# a test starts and interrupts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
