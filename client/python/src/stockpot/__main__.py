"""`python -m stockpot`: what the `stockpot` program leaves to Python."""

import sys

from ._program import main

sys.exit(main())
