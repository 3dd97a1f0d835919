"""doit commands of our own, one module each; registered as entry points `doit.COMMAND`."""
