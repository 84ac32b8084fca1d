package main

import (
	"testing"

	"lorac/cmd/test/testkit"
)

// Chance has a part in these: they are repeated where there is time.

func TestKilledManyTimes(t *testing.T) {
	testkit.Slow(t, "crash")
	for range 10 {
		t.Run("round", TestKilledSameBits)
	}
}

func TestRunsOfPlansManyTimes(t *testing.T) {
	testkit.Slow(t, "memory")
	for range 10 {
		t.Run("round", TestRunsOfPlans)
	}
}
