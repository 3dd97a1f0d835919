package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"
)

type moment struct {
	Zone         string `json:"zone"`
	Time         string `json:"time"`
	Abbreviation string `json:"abbreviation"`
	Local        string `json:"local"`
	LocalZone    string `json:"local_zone"`
	TZ           string `json:"tz"`
}

// clock tells now in zone (an IANA name; "" is UTC) and in the zone of this machine.
func clock(zone string, now time.Time) (moment, error) {
	location, err := time.LoadLocation(zone)
	if err != nil {
		return moment{}, err
	}
	there, here := now.In(location), now.Local()
	name, _ := there.Zone()
	localName, _ := here.Zone()
	return moment{
		Zone:         location.String(),
		Time:         there.Format(time.RFC3339),
		Abbreviation: name,
		Local:        here.Format(time.RFC3339),
		LocalZone:    localName,
		TZ:           os.Getenv("TZ"),
	}, nil
}

type identity struct {
	UID   int    `json:"uid"`
	GID   int    `json:"gid"`
	User  string `json:"user"`
	Group string `json:"group"`
	Home  string `json:"home"`
	// HomeMode is what ls shows, or "missing".
	HomeMode string `json:"home_mode"`
}

// whoami looks this process's ids up in /etc/passwd and /etc/group.
func whoami() (identity, error) {
	uid, gid := os.Getuid(), os.Getgid()
	// user.Current would make an answer up from $USER and $HOME where there is no entry.
	account, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return identity{}, err
	}
	group, err := user.LookupGroupId(strconv.Itoa(gid))
	if err != nil {
		return identity{}, err
	}
	mode := "missing"
	if info, err := os.Stat(account.HomeDir); err == nil {
		mode = info.Mode().String()
	}
	return identity{uid, gid, account.Username, group.Name, account.HomeDir, mode}, nil
}

type tempFile struct {
	Folder string `json:"folder"`
	Mode   string `json:"mode"`
	Bytes  int    `json:"bytes"`
}

// temp creates, writes, reads and removes a file in the folder for temporary files.
func temp() (result tempFile, err error) {
	folder := os.TempDir()
	info, err := os.Stat(folder)
	if err != nil {
		return tempFile{}, err
	}
	file, err := os.CreateTemp(folder, "api-*")
	if err != nil {
		return tempFile{}, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	const text = "written and read back\n"
	if _, err := file.WriteString(text); err != nil {
		return tempFile{}, err
	}
	back, err := os.ReadFile(file.Name())
	if err != nil {
		return tempFile{}, err
	}
	if string(back) != text {
		return tempFile{}, fmt.Errorf("%s: wrote %q, read %q", file.Name(), text, back)
	}
	return tempFile{folder, info.Mode().String(), len(back)}, nil
}

type written struct {
	Path string `json:"path"`
}

// write tries to create path, and removes it at once; a file that exists is left alone.
func write(path string) (written, error) {
	if !filepath.IsAbs(path) {
		return written{}, fmt.Errorf("wanted an absolute path, got %q", path)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return written{}, err
	}
	return written{path}, errors.Join(file.Close(), os.Remove(path))
}

type resolved struct {
	Host      string   `json:"host"`
	Addresses []string `json:"addresses"`
}

// resolve looks host up in /etc/hosts and DNS, in the order /etc/nsswitch.conf gives.
func resolve(ctx context.Context, host string) (resolved, error) {
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return resolved{}, err
	}
	return resolved{host, addresses}, nil
}
