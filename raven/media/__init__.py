"""What Raven knows of media: probing, the frame grid, ffmpeg argument lists, CMAF boxes, HLS and DASH writers."""
