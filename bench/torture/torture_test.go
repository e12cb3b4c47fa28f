package torture

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"usher/sinks/clickhouse/embedded"
)

// TestTorture is `make torture KILLS=n SEED=s RATE=r`. It needs Java, Maven once, and the engine. The
// directory of data and logs is kept when it fails, or when USHER_TORTURE_DIR names one.
func TestTorture(t *testing.T) {
	kills, minutes := number(t, "USHER_TORTURE_KILLS", -1), number(t, "USHER_SOAK_MINUTES", 0)
	if kills < 0 && minutes == 0 {
		t.Skip("`make torture KILLS=10` and `make soak MINUTES=60` start what this test needs and run it")
	}
	if _, err := embedded.LibraryPath(); err != nil {
		t.Fatal(err)
	}
	dir := os.Getenv("USHER_TORTURE_DIR")
	keep := dir != ""
	if !keep {
		var err error
		if dir, err = os.MkdirTemp("", "usher-torture-"); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if t.Failed() {
				t.Logf("data and logs are kept in the temporary directory, %s", filepath.Base(dir))
				return
			}
			_ = os.RemoveAll(dir)
		}()
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "usher")
	build := exec.Command("go", "build", "-o", binary, "usher/cmd/usher")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	report, err := Run(t.Context(), Config{
		Kills: kills, Soak: time.Duration(minutes) * time.Minute, Times: os.Getenv("USHER_TORTURE_TIMES") != "told", Seed: uint64(number(t, "USHER_TORTURE_SEED", 1)),
		Rate: number(t, "USHER_TORTURE_RATE", 0), Dir: dir, Binary: binary,
		KafkaScript: "../../pipeline/source/kafka/kafkatest/kafka.sh", Oracle: "../oracle", Out: os.Stdout,
	})
	if err != nil {
		t.Fatal(err)
	}
	report.Print(os.Stdout)
	if report.Failed() {
		t.Error("something was lost, doubled, stuck, different, or ended by itself")
	}
}

func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s must be a number, got %q", variable, text)
	}
	return n
}
