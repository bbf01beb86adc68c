"""Which of libavformat's formats a source may have, and what its first bytes say about a refused one. Pure.

Allowed is what is whole in one file. Left out is what names other files or hosts (hls, dash, concat, sdp, rtsp, image2,
vobsub ...), what is a device or a generator (lavfi, x11grab, sbg ...), what has no header, so that anything would be
such a film (raw pictures and samples, text as teletype), and what holds neither picture nor sound.
"""

from __future__ import annotations

import re

_NAMES = """
    3dostr 3g2 3gp 4xm aa aac aax ac3 ac4 ace acm act adp ads adx aea afc aiff aix alp amr amrnb amrwb anm apac
    apc ape apm apng aptx aptx_hd apv argo_asf argo_brp argo_cvg asf asf_o ass ast au av1 avi avr avs avs2 avs3
    bethsoftvid bfi bfstm bink binka bit bmp_pipe bmv boa bonk brstm c93 caf cavsvideo cdg cdxl cine codec2
    cri_pipe daud dcstr dds_pipe derf dfa dfpwm dhav dirac dnxhd dpx_pipe dsf dsicin dss dts dtshd dv dxa ea
    ea_cdata eac3 epaf evc exr_pipe film_cpk filmstrip fits flac flic flv frm fsb fwse g722 g723_1 g726 g726le
    g728 g729 gdv gem_pipe genh gif gif_pipe gsm gxf h261 h263 h264 hca hcom hdr_pipe hevc hnm hxvs iamf ico
    idcin iff ifv ilbc ingenient ipmovie ipu ircam iss iv8 ivf ivr j2k_pipe jpeg_pipe jpegls_pipe jpegxl_anim
    jpegxl_pipe jpegxs_pipe jv kux kvag laf lc3 lmlm4 loas luodat lvf lxf m4a m4v matroska mca mgsts mj2 mjpeg
    mjpeg_2000 mlp mm mmf mods moflex mov mp3 mp4 mpc mpc8 mpeg mpegts mpegvideo msf msnwctcp msp mtaf mtv musx
    mv mvi mxf mxg nc nistsphere nsp nsv nut nuv obu ogg oma osq oss paf pam_pipe pbm_pipe pcx_pipe pdv pfm_pipe
    pgm_pipe pgmyuv_pipe pgx_pipe phm_pipe photocd_pipe pictor_pipe pmp png_pipe pp_bnk ppm_pipe psd_pipe psxstr
    pva pvf qcp qdraw_pipe qoa qoi_pipe r3d redspark rka rl2 rm roq rpl rsd rso sbc scd sdns sdr2 sds sdx ser
    sga sgi_pipe shn siff simbiosis_imx sln smjpeg smk smush sol sox spdif srt sunrast_pipe svag svs swf tak thp
    tiertexseq tiff_pipe tmv truehd tta ty usm vag vbn_pipe vc1 vc1test vividas vivo vmd voc vpk vqf vvc w64
    wady wav wavarc wc3movie webm webp_anim webp_pipe webvtt wsaud wsd wsvqa wtv wv wve xa xbm_pipe xmd xmv
    xpm_pipe xvag xwd_pipe xwma yop yuv4mpegpipe
"""
FORMATS = ",".join(_NAMES.split())
"""For libavformat's option `format_whitelist`."""

_TS_PACKET = 188
_LISTS = (
    (rb"#EXTM3U", "an HLS or M3U playlist"),
    (rb"ffconcat version", "an ffmpeg concat script"),
    (rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(\w+:)?MPD[\s>]", "a DASH manifest"),
    (rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(smil|SmoothStreamingMedia|asx|rss)[\s>]", "a streaming manifest"),
    (rb"v=0\r?\no=", "an SDP session description"),
    (rb"\[(playlist|Reference)\]", "a playlist"),
    (rb";FFMETADATA", "a text of metadata"),
)


def refused_list(head: bytes) -> str | None:
    """What kind of list of other files a source that begins with `head` is; None for none that is known."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((what for start, what in _LISTS if re.match(start, text, re.IGNORECASE | re.DOTALL)), None)


def scrambled(head: bytes) -> bool:
    """Whether a source that begins with `head` is an MPEG-TS most of whose media is scrambled (ISO 13818-1, 2.4.3.3).

    The two bits are transport_scrambling_control; tables (PID below 32) are never scrambled.
    """
    start = next((n for n in range(_TS_PACKET) if head[n::_TS_PACKET][:5] == b"G" * 5), None)
    if start is None:
        return False
    packets = [head[n : n + 4] for n in range(start, len(head) - 3, _TS_PACKET) if head[n] == 0x47]
    media = [p for p in packets if 32 <= (p[1] & 0x1F) << 8 | p[2] < 0x1FFF and p[3] & 0x10]
    return 2 * sum(p[3] >> 6 > 1 for p in media) > len(media)
