package embedded

import (
	"errors"
	"testing"
)

func TestParseInsert(t *testing.T) {
	check := func(text, sql, format, data string) {
		t.Helper()
		h, ok := parseInsert(text)
		if !ok {
			t.Errorf("%q is no insert with a format", text)
			return
		}
		if h.sql != sql || h.format != format || text[h.data:] != data {
			t.Errorf("%q: %q, format %q, data %q", text, h.sql, h.format, text[h.data:])
		}
	}
	check("INSERT INTO t FORMAT CSV\n1,2\n", "INSERT INTO t", "CSV", "1,2\n")
	check("insert into db.t (a, `b)`) format Native", "insert into db.t (a, `b)`)", "Native", "")
	check("INSERT INTO `t` FORMAT CSV\n", "INSERT INTO `t`", "CSV", "")
	check("INSERT INTO `d`.`t` FORMAT CSV \r\n\n1", "INSERT INTO `d`.`t`", "CSV", "\n1")
	check("INSERT INTO format FORMAT TSV\nx", "INSERT INTO format", "TSV", "x")
	check("INSERT INTO d.values (a) FORMAT TSV\nx", "INSERT INTO d.values (a)", "TSV", "x")
	check("INSERT INTO TABLE t SETTINGS async_insert = 0, x = 'FORMAT' FORMAT TSV\n",
		"INSERT INTO TABLE t SETTINGS async_insert = 0, x = 'FORMAT'", "TSV", "")
	check("INSERT INTO TABLE FUNCTION file('SELECT') FORMAT TSV\n",
		"INSERT INTO TABLE FUNCTION file('SELECT')", "TSV", "")
	check("/* SELECT */ -- VALUES\nINSERT INTO t (a) FORMAT RowBinary\n\x00\n\x01",
		"/* SELECT */ -- VALUES\nINSERT INTO t (a)", "RowBinary", "\x00\n\x01")
	check("INSERT INTO t FORMAT JSONEachRow {\"a\": 1}", "INSERT INTO t", "JSONEachRow", "{\"a\": 1}")

	not := func(text string) {
		t.Helper()
		if h, ok := parseInsert(text); ok {
			t.Errorf("%q was taken for an insert with data: %+v", text, h)
		}
	}
	not("")
	not("SELECT 1 FORMAT CSV")
	not("INSERT INTO t VALUES (1, 'FORMAT CSV')")
	not("INSERT INTO t SELECT 1 FORMAT CSV")
	not("INSERT INTO t (a) WITH 1 AS x SELECT x FORMAT CSV")
	not("INSERT INTO t FROM INFILE 'f' FORMAT CSV")
	not("INSERT INTO t FORMAT")
	not("INSERT INTO t 'FORMAT CSV")
	not("INSERT INTO t /* FORMAT CSV")
}

func TestFormatOf(t *testing.T) {
	check := func(text, want string) {
		t.Helper()
		if got := formatOf(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	check("SELECT 1", "")
	check("SELECT 1 FORMAT JSON", "JSON")
	check("SELECT 1 format JSONEachRow;", "JSONEachRow")
	check("SELECT 1 FORMAT CSV SETTINGS max_threads = 1", "CSV")
	check("SELECT format FROM t", "")
	check("SELECT format FROM t FORMAT TSV", "TSV")
	check("SELECT ' FORMAT CSV' -- FORMAT JSON", "")
	check("SELECT format('{} {}', a, 'b')", "")
	check("SELECT (SELECT 1 FORMAT CSV)", "")
}

func TestEngineError(t *testing.T) {
	check := func(text string, code int, name, want string) {
		t.Helper()
		var e *Error
		if err := engineError(text); !errors.As(err, &e) {
			t.Errorf("%q is no error", text)
		} else if e.Code != code || e.Name != name || e.Text != want {
			t.Errorf("%q: %d %q %q", text, e.Code, e.Name, e.Text)
		}
	}
	const version = " (version " + EngineVersion + ")"
	check("Code: 60. DB::Exception: no t. (UNKNOWN_TABLE)", 60, "UNKNOWN_TABLE",
		"Code: 60. DB::Exception: no t. (UNKNOWN_TABLE)"+version)
	check("Code: 241. DB::Exception: Code: 241. DB::Exception: limit. (MEMORY_LIMIT_EXCEEDED)"+version, 241,
		"MEMORY_LIMIT_EXCEEDED", "Code: 241. DB::Exception: limit. (MEMORY_LIMIT_EXCEEDED)"+version)
	check("Code: 395. DB::Exception: said 'Code: 1. x'. (THROWN)", 395, "THROWN",
		"Code: 395. DB::Exception: said 'Code: 1. x'. (THROWN)"+version)
	check("no code", 0, "", "no code")
	if err := engineError(" \n"); err != nil {
		t.Errorf("no text is an error: %v", err)
	}
}
