package broker

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
)

// The framing of kfake's append-only logs (persist.go of kfake, version 1), also used by the
// journal: length, CRC-32C, version, JSON. All integers are little-endian.
const (
	frameHeaderBytes = 10
	frameVersion     = 1
	frameLengthMin   = 2 // the version counts
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendFrame(dst []byte, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return dst, fmt.Errorf("cannot encode a log entry: %w", err)
	}
	var h [frameHeaderBytes]byte
	binary.LittleEndian.PutUint32(h[0:], uint32(frameLengthMin+len(data)))
	binary.LittleEndian.PutUint16(h[8:], frameVersion)
	crc := crc32.Update(crc32.Checksum(h[8:], castagnoli), castagnoli, data)
	binary.LittleEndian.PutUint32(h[4:], crc)
	return append(append(dst, h[:]...), data...), nil
}

// frame is one entry of a log; at is the offset of its first byte.
type frame struct {
	at   int64
	data []byte
}

// readFrames reads the entries of a log file and where the valid ones end. No file is an empty one.
func readFrames(path string) (frames []frame, valid int64, err error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	pos := 0
	for pos+frameHeaderBytes <= len(raw) {
		n := int(binary.LittleEndian.Uint32(raw[pos:]))
		if n < frameLengthMin || n > len(raw)-pos-8 {
			break
		}
		body := raw[pos+8 : pos+8+n]
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(raw[pos+4:]) {
			break
		}
		frames = append(frames, frame{at: int64(pos), data: body[frameLengthMin:]})
		pos += 8 + n
	}
	return frames, int64(pos), nil
}

// cutTail removes what follows the valid entries of a log: kfake skips a torn entry when it reads,
// but would append behind it, where nothing is ever read again.
func cutTail(path string, valid int64) error {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Size() == valid {
		return nil
	}
	return os.Truncate(path, valid)
}

// appendFrames adds entries to a log in one write.
func appendFrames(path string, entries ...any) error {
	if len(entries) == 0 {
		return nil
	}
	var b []byte
	for _, e := range entries {
		var err error
		if b, err = appendFrame(b, e); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, filePerm)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, data []byte) error {
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, data, filePerm); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
