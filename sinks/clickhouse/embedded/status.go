package embedded

import "net/http"

// httpStatus maps an error code of ClickHouse to the HTTP status that a server answers with
// (exceptionCodeToHTTPStatus.cpp of ClickHouse).
func httpStatus(code int) int {
	switch code {
	case 194: // REQUIRED_PASSWORD
		return http.StatusUnauthorized
	case 192, 193, 497, 512, 516: // UNKNOWN_USER, WRONG_PASSWORD, ACCESS_DENIED …
		return http.StatusForbidden
	case 6, 8, 15, 25, 26, 27, 36, 38, 41, 44, 53, 62, 68, 69, 71, 72, 117, 167, 168, 376, 427, 441,
		675, 676: // what does not parse, or does not fit
		return http.StatusBadRequest
	case 46, 47, 50, 55, 56, 60, 63, 73, 78, 81, 115, 336, 511: // UNKNOWN_…
		return http.StatusNotFound
	case 66: // QUERY_IS_TOO_LARGE
		return http.StatusRequestEntityTooLarge
	case 48: // NOT_IMPLEMENTED
		return http.StatusNotImplemented
	case 76, 209, 439: // CANNOT_OPEN_FILE, SOCKET_TIMEOUT, CANNOT_SCHEDULE_TASK
		return http.StatusServiceUnavailable
	case 159: // TIMEOUT_EXCEEDED
		return http.StatusRequestTimeout
	case 381: // HTTP_LENGTH_REQUIRED
		return http.StatusLengthRequired
	default:
		return http.StatusInternalServerError
	}
}

// contentType is the media type of a format, as a server names it.
func contentType(format string) string {
	switch format {
	case "TabSeparated", "TSV", "TabSeparatedRaw", "TSVRaw", "TabSeparatedWithNames",
		"TSVWithNames",
		"TabSeparatedWithNamesAndTypes", "TSVWithNamesAndTypes":
		return "text/tab-separated-values; charset=UTF-8"
	case "CSV":
		return "text/csv; charset=UTF-8; header=absent"
	case "CSVWithNames", "CSVWithNamesAndTypes":
		return "text/csv; charset=UTF-8; header=present"
	case "JSON", "JSONCompact", "JSONStrings", "JSONColumns", "JSONCompactColumns",
		"JSONColumnsWithMetadata":
		return "application/json; charset=UTF-8"
	case "JSONEachRow", "JSONCompactEachRow", "JSONStringsEachRow", "JSONLines", "NDJSON":
		return "application/x-ndjson; charset=UTF-8"
	case "XML":
		return "application/xml; charset=UTF-8"
	case "Native", "RowBinary", "RowBinaryWithNames", "RowBinaryWithNamesAndTypes", "Parquet",
		"Arrow",
		"ArrowStream", "ORC", "Avro", "MsgPack":
		return "application/octet-stream"
	default:
		return "text/plain; charset=UTF-8"
	}
}

// piecewise tells whether the pieces of a streamed answer in this format make one answer when
// joined; other formats repeat their header or frame in every piece.
func piecewise(format string) bool {
	switch format {
	case "Native", "TabSeparated", "TSV", "TabSeparatedRaw", "TSVRaw", "CSV", "JSONEachRow",
		"RowBinary":
		return true
	default:
		return false
	}
}
