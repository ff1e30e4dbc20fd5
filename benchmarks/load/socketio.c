/* Socket.IO: what a server of it wants around each message (protocol 5 over Engine.IO 4, WebSocket only).
 *
 * Every packet is a text message: "0{...}" opens, "40" asks for the namespace / and "40{...}" says that one is in
 * it, "2" is a ping that wants "3", and 42["name","text"] is an event. A payload here has nothing that JSON
 * would have to escape.
 */
#include <stdio.h>
#include <string.h>

#include "load.h"

static char head[64]; /* of every event: 42["name"," */
static size_t head_length;
static const char tail[] = "\"]";
enum { TAIL = sizeof tail - 1 };

void use_socketio(const char *event)
{
    int length = snprintf(head, sizeof head, "42[\"%s\",\"", event);
    if (length >= (int)sizeof head)
        die("--event must be shorter, not \"%s\"", event);
    head_length = (size_t)length;
}

const uint8_t *socketio_event(const uint8_t *payload, size_t *length)
{
    static uint8_t packet[FRAME_PAYLOAD_MAX];
    size_t whole = head_length + *length + TAIL;
    if (whole > sizeof packet)
        die("an event of %zu bytes does not fit into a frame", whole);
    memcpy(packet, head, head_length);
    memcpy(packet + head_length, payload, *length);
    memcpy(packet + head_length + *length, tail, TAIL);
    *length = whole;
    return packet;
}

void read_socketio(struct load *load, struct client *client, const uint8_t *packet, size_t length)
{
    if (length >= head_length + TAIL && !memcmp(packet, head, head_length) &&
        !memcmp(packet + length - TAIL, tail, TAIL)) {
        load->on_message(load, client, packet + head_length, length - head_length - TAIL);
    } else if (length >= 2 && !memcmp(packet, "0{", 2)) {
        write_frame(load, client, OPCODE_TEXT, (const uint8_t *)"40", 2);
    } else if (length >= 3 && !memcmp(packet, "40{", 3)) {
        load->open++;
    } else if (length == 1 && *packet == '2') {
        write_frame(load, client, OPCODE_TEXT, (const uint8_t *)"3", 1);
    } else {
        die("socket %u: not a packet of Socket.IO that was expected: %.*s", client->index,
            (int)(length < 80 ? length : 80), (const char *)packet);
    }
}
