"""The commands of the command line, a file each: `add` makes the parser, and names the function that is run."""
