# The same in awk: the fields of a line, the labels of a name. Usage: mawk -f perline.awk form=bind names.txt query.log
# names.txt: "name match" a line. Prints the client and the name of each lookup of a watched name.
FNR == NR { if ($2 != "subdomains") exact[$1] = 1; if ($2 != "exact") below[$1] = 1; next }
form == "bind" && $9 == "query:" { check($7, $10); next }
form == "dnsmasq" && $7 ~ /^query/ { check($6, $8) }
function check(client, name) {
    name = tolower(name)
    if (name in exact) { print client, name; return }
    rest = name
    while ((dot = index(rest, ".")) > 0) {
        rest = substr(rest, dot + 1)
        if (rest in below) { print client, name; return }
    }
}
