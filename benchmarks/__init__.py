"""What proves the speed and the growth: `make bench`. On real servers, with the tests' own harness."""
