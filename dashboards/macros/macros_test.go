package macros

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// window is that of the golden facts.
func window() Window {
	return Window{From: time.UnixMilli(1700000000123), To: time.UnixMilli(1700003600456),
		Interval: 30 * time.Second}
}

var goldenLine = regexp.MustCompile(`^("(?:[^"\\]|\\.)*")\s+-> ("(?:[^"\\]|\\.)*") err=(.*)$`)

// TestGolden holds Expand to what the plugin itself answered: the copy beside this test, and the
// project's shared file where there is one.
func TestGolden(t *testing.T) {
	files := []string{filepath.Join("testdata", "golden.txt")}
	if shared := sharedDir(); shared != "" {
		files = append(files, filepath.Join(shared, "design", "clickhouse-macros-golden.txt"))
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		checked := 0
		for line := range strings.SplitSeq(string(content), "\n") {
			if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
				continue
			}
			checkGolden(t, line)
			checked++
		}
		if checked < 20 {
			t.Errorf("only %d lines in %s", checked, filepath.Base(file))
		}
	}
}

func checkGolden(t *testing.T, line string) {
	t.Helper()
	match := goldenLine.FindStringSubmatch(line)
	if match == nil {
		t.Fatalf("cannot read the line %s", line)
	}
	in, errIn := strconv.Unquote(match[1])
	want, errWant := strconv.Unquote(match[2])
	if errIn != nil || errWant != nil {
		t.Fatalf("cannot unquote the line %s", line)
	}
	got, err := Expand(in, window())
	if match[3] != "<nil>" {
		if err == nil {
			t.Errorf("%s gave %q, the plugin refuses it", in, got)
		}
		return
	}
	if err != nil || got != want {
		t.Errorf("%s\n gave %q, %v\n want %q", in, got, err, want)
	}
}

// sharedDir finds the project's shared data: USHER_SHARED, or a folder shared beside the module.
func sharedDir() string {
	if dir := os.Getenv("USHER_SHARED"); dir != "" {
		return dir
	}
	dir, err := filepath.Abs(".")
	if err != nil {
		return ""
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			shared := filepath.Join(filepath.Dir(dir), "shared")
			if _, err := os.Stat(filepath.Join(shared, "design")); err != nil {
				return ""
			}
			return shared
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return ""
	}
}

func TestComments(t *testing.T) {
	check := func(in, want string) {
		t.Helper()
		if got, err := Expand(in, window()); err != nil || got != want {
			t.Errorf("%q gave %q, %v, want %q", in, got, err, want)
		}
	}
	check("a /* $__toTime */ b", "a                 b")
	check("a -- x\nb", "a     \nb")
	check("'--' /* c", "'--'     ")
	check(`'it\'s --' b`, `'it\'s --' b`)
	check("1 - -1", "1 - -1")
	check("a --", "a   ")
}

func TestArguments(t *testing.T) {
	refused := func(in string) {
		t.Helper()
		if got, err := Expand(in, window()); err == nil {
			t.Errorf("%q gave %q, want an error", in, got)
		}
	}
	refused("$__timeFilter")
	refused("$__timeFilter(addDays(a, 7))") // the plugin cuts at every comma
	refused("$__timeGroup(a, often)")
	refused("$__dt(a)")
}

func TestInterpolate(t *testing.T) {
	values := map[string]Value{
		"tenant": {List: []string{"a", `o\'b`}}, "queue": {Raw: "'(all)'"}, "one": {Raw: "x"},
	}
	check := func(in, want string) {
		t.Helper()
		if got := Interpolate(in, values); got != want {
			t.Errorf("%q gave %q, want %q", in, got, want)
		}
	}
	check("a IN ($tenant)", `a IN ('a','o\'b')`)
	check("a IN ($queue)", "a IN ('(all)')")
	check("${one}y $oney $one", "xy $oney x")
	check("$__timeFilter(a) '$'", "$__timeFilter(a) '$'")
	if got := Names("$b ${a} $__timeFilter(a) $b"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("names %v", got)
	}
}

func TestShortDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Second: "1s", 90 * time.Second: "90s",
		2 * time.Minute: "2m", time.Hour: "1h", 48 * time.Hour: "2d", 1500 * time.Millisecond: "1500ms"} {
		if got := shortDuration(d); got != want {
			t.Errorf("%v gave %s, want %s", d, got, want)
		}
	}
}
