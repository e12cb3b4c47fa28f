package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

const (
	// LibraryVersion is the pinned version of the npm package that carries the engine.
	LibraryVersion = "26.7.3-stable.1"
	// EngineVersion is what version() answers on the pinned library.
	EngineVersion = "26.7.2.1"
	// LibraryEnv names another copy of the library: a path to a libchdb.so.
	LibraryEnv = "USHER_LIBCHDB"
	// CacheEnv names usher's cache directory; without it, XDG_CACHE_HOME/usher or ~/.cache/usher.
	CacheEnv = "USHER_CACHE"
)

// ErrNoLibrary says that the engine's library is not on this machine.
var ErrNoLibrary = errors.New("the embedded ClickHouse library is missing")

// LibraryPath finds libchdb: the file that USHER_LIBCHDB names, else the pinned version in usher's
// cache. The error wraps ErrNoLibrary and says how to get it.
func LibraryPath() (string, error) {
	if p := os.Getenv(LibraryEnv); p != "" {
		if err := regularFile(p); err != nil {
			return "", fmt.Errorf("%w: %s=%s: %w; unset it and run `make libchdb`", ErrNoLibrary,
				LibraryEnv, p, err)
		}
		return p, nil
	}
	dir, err := cacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: %w; set %s", ErrNoLibrary, err, CacheEnv)
	}
	p := filepath.Join(dir, "libchdb", LibraryVersion, "libchdb.so")
	if err := regularFile(p); err != nil {
		return "",
			fmt.Errorf("%w: %w; run `make libchdb` (%s/%s; a package exists for Linux with glibc "+
				"on x64), or set %s to a copy", ErrNoLibrary, err, runtime.GOOS, runtime.GOARCH,
				LibraryEnv)
	}
	return p, nil
}

func regularFile(path string) error {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no file %s", path)
	case err != nil:
		return err
	case !st.Mode().IsRegular():
		return fmt.Errorf("%s is no file", path)
	}
	return nil
}

func cacheDir() (string, error) {
	if d := os.Getenv(CacheEnv); d != "" {
		return d, nil
	}
	if d := os.Getenv("XDG_CACHE_HOME"); d != "" {
		return filepath.Join(d, "usher"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cannot find the cache directory: %w", err)
	}
	return filepath.Join(home, ".cache", "usher"), nil
}

// progress is what a statement read and wrote.
type progress struct{ readRows, readBytes, writtenRows, writtenBytes uint64 }

// Error is an error of the engine, with ClickHouse's code.
type Error struct {
	Code int    // 0 when the engine gave none
	Name string // UNKNOWN_TABLE …
	Text string // as a server prints it
}

// Error is the text as a server prints it: code, message, name and version.
func (e *Error) Error() string { return e.Text }

var (
	errorCode = regexp.MustCompile(`Code: (\d+)\. `)
	errorName = regexp.MustCompile(`\(([A-Z][A-Z0-9_]{2,})\)`)
)

// engineError makes the library's text a typed error. Some paths wrap a message several times in
// "Code: N. DB::Exception: ": the innermost is kept.
func engineError(text string) error {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	e := &Error{}
	if at := errorCode.FindAllStringSubmatchIndex(text, -1); at != nil {
		last := 0
		for last+1 < len(at) && isWrapper(text[at[last][1]:at[last+1][0]]) {
			last++
		}
		e.Code, _ = strconv.Atoi(text[at[last][2]:at[last][3]])
		text = text[at[last][0]:]
	}
	if names := errorName.FindAllStringSubmatch(text, -1); names != nil {
		e.Name = names[len(names)-1][1]
	}
	e.Text = text
	if e.Code != 0 && !strings.Contains(text, "(version ") {
		e.Text += " (version " + EngineVersion + ")"
	}
	return e
}

func isWrapper(between string) bool {
	return strings.TrimSpace(strings.ReplaceAll(between, "DB::Exception:", "")) == ""
}
